#include "textflag.h"

// The two hashes in one stream of instructions. Eighty rounds of SHA-512 go
// with the 128 steps of two blocks of MD5; they share nothing but the data and
// two registers for what is in between, so the processor runs them side by
// side. The words of SHA-512's schedule are made four at a time in vector
// registers, sixteen rounds ahead.
//
//	AX BX CX DX R8 R9 R10 R11    a to h of SHA-512
//	R12 R13 R14 R15              a to d of MD5
//	SI                           the block of data
//	Y4 Y5 Y6 Y7                  the last sixteen words of the schedule
//	0(SP) to 127(SP)             words and constants, added, of sixteen rounds
//	128(SP) to 143(SP)           MD5 before the block
//	144(SP)                      the end of the data

#define T1 DI
#define T2 BP

// A round of SHA-512. Maj is written as a&b + c&(a^b), which have no bit in
// common.
#define ROUND(a, b, c, d, e, f, g, h, wk) \
	ADDQ  wk(SP), h    \
	MOVQ  f, T1        \
	XORQ  g, T1        \
	ANDQ  e, T1        \
	XORQ  g, T1        \
	ADDQ  T1, h        \
	RORXQ $14, e, T1   \
	RORXQ $18, e, T2   \
	XORQ  T2, T1       \
	RORXQ $41, e, T2   \
	XORQ  T2, T1       \
	ADDQ  T1, h        \
	ADDQ  h, d         \
	MOVQ  a, T1        \
	XORQ  b, T1        \
	ANDQ  c, T1        \
	ADDQ  T1, h        \
	MOVQ  a, T1        \
	ANDQ  b, T1        \
	ADDQ  T1, h        \
	RORXQ $28, a, T1   \
	RORXQ $34, a, T2   \
	XORQ  T2, T1       \
	RORXQ $39, a, T2   \
	XORQ  T2, T1       \
	ADDQ  T1, h

// The four kinds of steps of MD5, with the word at m, constant k, rotation by
// s. What depends on b, the result of the step before, comes last.
#define F(a, b, c, d, m, k, s) \
	ADDL m(SI), a   \
	MOVL c, T1      \
	ADDL $k, a      \
	XORL d, T1      \
	ANDL b, T1      \
	XORL d, T1      \
	ADDL T1, a      \
	ROLL $s, a      \
	ADDL b, a

// (d&b) | (c&^d), which have no bit in common, so that the second can be added
// before b is known.
#define G(a, b, c, d, m, k, s) \
	ADDL  m(SI), a   \
	ANDNL c, d, T1   \
	ADDL  $k, a      \
	MOVL  d, T2      \
	ADDL  T1, a      \
	ANDL  b, T2      \
	ADDL  T2, a      \
	ROLL  $s, a      \
	ADDL  b, a

#define H(a, b, c, d, m, k, s) \
	ADDL m(SI), a   \
	MOVL c, T1      \
	ADDL $k, a      \
	XORL d, T1      \
	XORL b, T1      \
	ADDL T1, a      \
	ROLL $s, a      \
	ADDL b, a

// c ^ (b|^d) is ^(c ^ (d&^b)), and to add ^x is to subtract x+1: the one is in
// the constant.
#define I(a, b, c, d, m, k, s) \
	ADDL  m(SI), a   \
	ANDNL d, b, T1   \
	ADDL  $k, a      \
	XORL  c, T1      \
	SUBL  T1, a      \
	ROLL  $s, a      \
	ADDL  b, a

// A block of MD5 ends.
#define NEXT64 \
	ADDL 128(SP), R12   \
	ADDL 132(SP), R13   \
	ADDL 136(SP), R14   \
	ADDL 140(SP), R15   \
	MOVL R12, 128(SP)   \
	MOVL R13, 132(SP)   \
	MOVL R14, 136(SP)   \
	MOVL R15, 140(SP)

// The next four words of the schedule, in place of w0:
// w[t] = w[t-16] + s0(w[t-15]) + w[t-7] + s1(w[t-2]). The last two need the
// first two, so s1 is done twice.
#define SCHEDULE(w0, w4, w8, w12) \
	VALIGNQ      $1, w0, w4, Y0         \
	VALIGNQ      $1, w8, w12, Y1        \
	VPRORQ       $1, Y0, Y2             \
	VPADDQ       Y1, w0, w0             \
	VPRORQ       $8, Y0, Y3             \
	VPSRLQ       $7, Y0, Y0             \
	VPTERNLOGQ   $0x96, Y2, Y3, Y0      \
	VPADDQ       Y0, w0, w0             \
	VEXTRACTI128 $1, w12, X0            \
	VPRORQ       $19, X0, X1            \
	VPRORQ       $61, X0, X2            \
	VPSRLQ       $6, X0, X0             \
	VPTERNLOGQ   $0x96, X1, X2, X0      \
	VPADDQ       Y0, w0, w0             \
	VPRORQ       $19, w0, Y1            \
	VPRORQ       $61, w0, Y2            \
	VPSRLQ       $6, w0, Y0             \
	VPTERNLOGQ   $0x96, Y1, Y2, Y0      \
	VPERM2I128   $0x08, Y0, Y0, Y0      \
	VPADDQ       Y0, w0, w0

// Four words with their constants, for rounds to come.
#define KEEP(w, wk, at) \
	VPADDQ  k<>+at(SB), w, Y0 \
	VMOVDQU Y0, wk(SP)

// Four words of the data.
#define FIRST(w, wk) \
	VMOVDQU wk(SI), w      \
	VPSHUFB Y8, w, w       \
	KEEP(w, wk, wk)

// func blocks(md5 *[4]uint32, sha512 *[8]uint64, data *byte, n int)
TEXT ·blocks(SB), NOSPLIT, $152-32
	MOVQ data+16(FP), SI
	MOVQ n+24(FP), DX
	SHLQ $7, DX
	ADDQ SI, DX
	MOVQ DX, 144(SP)
	MOVQ md5+0(FP), DI
	MOVL (DI), R12
	MOVL 4(DI), R13
	MOVL 8(DI), R14
	MOVL 12(DI), R15
	MOVL R12, 128(SP)
	MOVL R13, 132(SP)
	MOVL R14, 136(SP)
	MOVL R15, 140(SP)
	MOVQ sha512+8(FP), DI
	MOVQ (DI), AX
	MOVQ 8(DI), BX
	MOVQ 16(DI), CX
	MOVQ 24(DI), DX
	MOVQ 32(DI), R8
	MOVQ 40(DI), R9
	MOVQ 48(DI), R10
	MOVQ 56(DI), R11
	VMOVDQU flip<>(SB), Y8

loop:
	FIRST(Y4, 0)
	FIRST(Y5, 32)
	FIRST(Y6, 64)
	FIRST(Y7, 96)
	SCHEDULE(Y4, Y5, Y6, Y7)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 0)
	F(R12, R13, R14, R15, 0, 0xd76aa478, 7)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 8)
	F(R15, R12, R13, R14, 4, 0xe8c7b756, 12)
	F(R14, R15, R12, R13, 8, 0x242070db, 17)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 16)
	F(R13, R14, R15, R12, 12, 0xc1bdceee, 22)
	F(R12, R13, R14, R15, 16, 0xf57c0faf, 7)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 24)
	F(R15, R12, R13, R14, 20, 0x4787c62a, 12)
	F(R14, R15, R12, R13, 24, 0xa8304613, 17)
	KEEP(Y4, 0, 128)
	SCHEDULE(Y5, Y6, Y7, Y4)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 32)
	F(R13, R14, R15, R12, 28, 0xfd469501, 22)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 40)
	F(R12, R13, R14, R15, 32, 0x698098d8, 7)
	F(R15, R12, R13, R14, 36, 0x8b44f7af, 12)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 48)
	F(R14, R15, R12, R13, 40, 0xffff5bb1, 17)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 56)
	F(R13, R14, R15, R12, 44, 0x895cd7be, 22)
	F(R12, R13, R14, R15, 48, 0x6b901122, 7)
	KEEP(Y5, 32, 160)
	SCHEDULE(Y6, Y7, Y4, Y5)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 64)
	F(R15, R12, R13, R14, 52, 0xfd987193, 12)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 72)
	F(R14, R15, R12, R13, 56, 0xa679438e, 17)
	F(R13, R14, R15, R12, 60, 0x49b40821, 22)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 80)
	G(R12, R13, R14, R15, 4, 0xf61e2562, 5)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 88)
	G(R15, R12, R13, R14, 24, 0xc040b340, 9)
	G(R14, R15, R12, R13, 44, 0x265e5a51, 14)
	KEEP(Y6, 64, 192)
	SCHEDULE(Y7, Y4, Y5, Y6)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 96)
	G(R13, R14, R15, R12, 0, 0xe9b6c7aa, 20)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 104)
	G(R12, R13, R14, R15, 20, 0xd62f105d, 5)
	G(R15, R12, R13, R14, 40, 0x02441453, 9)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 112)
	G(R14, R15, R12, R13, 60, 0xd8a1e681, 14)
	G(R13, R14, R15, R12, 16, 0xe7d3fbc8, 20)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 120)
	G(R12, R13, R14, R15, 36, 0x21e1cde6, 5)
	G(R15, R12, R13, R14, 56, 0xc33707d6, 9)
	KEEP(Y7, 96, 224)
	SCHEDULE(Y4, Y5, Y6, Y7)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 0)
	G(R14, R15, R12, R13, 12, 0xf4d50d87, 14)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 8)
	G(R13, R14, R15, R12, 32, 0x455a14ed, 20)
	G(R12, R13, R14, R15, 52, 0xa9e3e905, 5)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 16)
	G(R15, R12, R13, R14, 8, 0xfcefa3f8, 9)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 24)
	G(R14, R15, R12, R13, 28, 0x676f02d9, 14)
	G(R13, R14, R15, R12, 48, 0x8d2a4c8a, 20)
	KEEP(Y4, 0, 256)
	SCHEDULE(Y5, Y6, Y7, Y4)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 32)
	H(R12, R13, R14, R15, 20, 0xfffa3942, 4)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 40)
	H(R15, R12, R13, R14, 32, 0x8771f681, 11)
	H(R14, R15, R12, R13, 44, 0x6d9d6122, 16)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 48)
	H(R13, R14, R15, R12, 56, 0xfde5380c, 23)
	H(R12, R13, R14, R15, 4, 0xa4beea44, 4)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 56)
	H(R15, R12, R13, R14, 16, 0x4bdecfa9, 11)
	H(R14, R15, R12, R13, 28, 0xf6bb4b60, 16)
	KEEP(Y5, 32, 288)
	SCHEDULE(Y6, Y7, Y4, Y5)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 64)
	H(R13, R14, R15, R12, 40, 0xbebfbc70, 23)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 72)
	H(R12, R13, R14, R15, 52, 0x289b7ec6, 4)
	H(R15, R12, R13, R14, 0, 0xeaa127fa, 11)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 80)
	H(R14, R15, R12, R13, 12, 0xd4ef3085, 16)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 88)
	H(R13, R14, R15, R12, 24, 0x04881d05, 23)
	H(R12, R13, R14, R15, 36, 0xd9d4d039, 4)
	KEEP(Y6, 64, 320)
	SCHEDULE(Y7, Y4, Y5, Y6)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 96)
	H(R15, R12, R13, R14, 48, 0xe6db99e5, 11)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 104)
	H(R14, R15, R12, R13, 60, 0x1fa27cf8, 16)
	H(R13, R14, R15, R12, 8, 0xc4ac5665, 23)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 112)
	I(R12, R13, R14, R15, 0, 0xf4292243, 6)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 120)
	I(R15, R12, R13, R14, 28, 0x432aff96, 10)
	I(R14, R15, R12, R13, 56, 0xab9423a6, 15)
	KEEP(Y7, 96, 352)
	SCHEDULE(Y4, Y5, Y6, Y7)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 0)
	I(R13, R14, R15, R12, 20, 0xfc93a038, 21)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 8)
	I(R12, R13, R14, R15, 48, 0x655b59c2, 6)
	I(R15, R12, R13, R14, 12, 0x8f0ccc91, 10)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 16)
	I(R14, R15, R12, R13, 40, 0xffeff47c, 15)
	I(R13, R14, R15, R12, 4, 0x85845dd0, 21)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 24)
	I(R12, R13, R14, R15, 32, 0x6fa87e4e, 6)
	I(R15, R12, R13, R14, 60, 0xfe2ce6df, 10)
	KEEP(Y4, 0, 384)
	SCHEDULE(Y5, Y6, Y7, Y4)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 32)
	I(R14, R15, R12, R13, 24, 0xa3014313, 15)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 40)
	I(R13, R14, R15, R12, 52, 0x4e0811a0, 21)
	I(R12, R13, R14, R15, 16, 0xf7537e81, 6)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 48)
	I(R15, R12, R13, R14, 44, 0xbd3af234, 10)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 56)
	I(R14, R15, R12, R13, 8, 0x2ad7d2ba, 15)
	I(R13, R14, R15, R12, 36, 0xeb86d390, 21)
	KEEP(Y5, 32, 416)
	SCHEDULE(Y6, Y7, Y4, Y5)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 64)
	NEXT64
	F(R12, R13, R14, R15, 64, 0xd76aa478, 7)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 72)
	F(R15, R12, R13, R14, 68, 0xe8c7b756, 12)
	F(R14, R15, R12, R13, 72, 0x242070db, 17)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 80)
	F(R13, R14, R15, R12, 76, 0xc1bdceee, 22)
	F(R12, R13, R14, R15, 80, 0xf57c0faf, 7)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 88)
	F(R15, R12, R13, R14, 84, 0x4787c62a, 12)
	F(R14, R15, R12, R13, 88, 0xa8304613, 17)
	KEEP(Y6, 64, 448)
	SCHEDULE(Y7, Y4, Y5, Y6)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 96)
	F(R13, R14, R15, R12, 92, 0xfd469501, 22)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 104)
	F(R12, R13, R14, R15, 96, 0x698098d8, 7)
	F(R15, R12, R13, R14, 100, 0x8b44f7af, 12)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 112)
	F(R14, R15, R12, R13, 104, 0xffff5bb1, 17)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 120)
	F(R13, R14, R15, R12, 108, 0x895cd7be, 22)
	F(R12, R13, R14, R15, 112, 0x6b901122, 7)
	KEEP(Y7, 96, 480)
	SCHEDULE(Y4, Y5, Y6, Y7)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 0)
	F(R15, R12, R13, R14, 116, 0xfd987193, 12)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 8)
	F(R14, R15, R12, R13, 120, 0xa679438e, 17)
	F(R13, R14, R15, R12, 124, 0x49b40821, 22)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 16)
	G(R12, R13, R14, R15, 68, 0xf61e2562, 5)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 24)
	G(R15, R12, R13, R14, 88, 0xc040b340, 9)
	G(R14, R15, R12, R13, 108, 0x265e5a51, 14)
	KEEP(Y4, 0, 512)
	SCHEDULE(Y5, Y6, Y7, Y4)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 32)
	G(R13, R14, R15, R12, 64, 0xe9b6c7aa, 20)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 40)
	G(R12, R13, R14, R15, 84, 0xd62f105d, 5)
	G(R15, R12, R13, R14, 104, 0x02441453, 9)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 48)
	G(R14, R15, R12, R13, 124, 0xd8a1e681, 14)
	G(R13, R14, R15, R12, 80, 0xe7d3fbc8, 20)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 56)
	G(R12, R13, R14, R15, 100, 0x21e1cde6, 5)
	G(R15, R12, R13, R14, 120, 0xc33707d6, 9)
	KEEP(Y5, 32, 544)
	SCHEDULE(Y6, Y7, Y4, Y5)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 64)
	G(R14, R15, R12, R13, 76, 0xf4d50d87, 14)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 72)
	G(R13, R14, R15, R12, 96, 0x455a14ed, 20)
	G(R12, R13, R14, R15, 116, 0xa9e3e905, 5)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 80)
	G(R15, R12, R13, R14, 72, 0xfcefa3f8, 9)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 88)
	G(R14, R15, R12, R13, 92, 0x676f02d9, 14)
	G(R13, R14, R15, R12, 112, 0x8d2a4c8a, 20)
	KEEP(Y6, 64, 576)
	SCHEDULE(Y7, Y4, Y5, Y6)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 96)
	H(R12, R13, R14, R15, 84, 0xfffa3942, 4)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 104)
	H(R15, R12, R13, R14, 96, 0x8771f681, 11)
	H(R14, R15, R12, R13, 108, 0x6d9d6122, 16)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 112)
	H(R13, R14, R15, R12, 120, 0xfde5380c, 23)
	H(R12, R13, R14, R15, 68, 0xa4beea44, 4)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 120)
	H(R15, R12, R13, R14, 80, 0x4bdecfa9, 11)
	H(R14, R15, R12, R13, 92, 0xf6bb4b60, 16)
	KEEP(Y7, 96, 608)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 0)
	H(R13, R14, R15, R12, 104, 0xbebfbc70, 23)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 8)
	H(R12, R13, R14, R15, 116, 0x289b7ec6, 4)
	H(R15, R12, R13, R14, 64, 0xeaa127fa, 11)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 16)
	H(R14, R15, R12, R13, 76, 0xd4ef3085, 16)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 24)
	H(R13, R14, R15, R12, 88, 0x04881d05, 23)
	H(R12, R13, R14, R15, 100, 0xd9d4d039, 4)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 32)
	H(R15, R12, R13, R14, 112, 0xe6db99e5, 11)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 40)
	H(R14, R15, R12, R13, 124, 0x1fa27cf8, 16)
	H(R13, R14, R15, R12, 72, 0xc4ac5665, 23)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 48)
	I(R12, R13, R14, R15, 64, 0xf4292243, 6)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 56)
	I(R15, R12, R13, R14, 92, 0x432aff96, 10)
	I(R14, R15, R12, R13, 120, 0xab9423a6, 15)
	ROUND(AX, BX, CX, DX, R8, R9, R10, R11, 64)
	I(R13, R14, R15, R12, 84, 0xfc93a038, 21)
	ROUND(R11, AX, BX, CX, DX, R8, R9, R10, 72)
	I(R12, R13, R14, R15, 112, 0x655b59c2, 6)
	I(R15, R12, R13, R14, 76, 0x8f0ccc91, 10)
	ROUND(R10, R11, AX, BX, CX, DX, R8, R9, 80)
	I(R14, R15, R12, R13, 104, 0xffeff47c, 15)
	I(R13, R14, R15, R12, 68, 0x85845dd0, 21)
	ROUND(R9, R10, R11, AX, BX, CX, DX, R8, 88)
	I(R12, R13, R14, R15, 96, 0x6fa87e4e, 6)
	I(R15, R12, R13, R14, 124, 0xfe2ce6df, 10)
	ROUND(R8, R9, R10, R11, AX, BX, CX, DX, 96)
	I(R14, R15, R12, R13, 88, 0xa3014313, 15)
	ROUND(DX, R8, R9, R10, R11, AX, BX, CX, 104)
	I(R13, R14, R15, R12, 116, 0x4e0811a0, 21)
	I(R12, R13, R14, R15, 80, 0xf7537e81, 6)
	ROUND(CX, DX, R8, R9, R10, R11, AX, BX, 112)
	I(R15, R12, R13, R14, 108, 0xbd3af234, 10)
	ROUND(BX, CX, DX, R8, R9, R10, R11, AX, 120)
	I(R14, R15, R12, R13, 72, 0x2ad7d2ba, 15)
	I(R13, R14, R15, R12, 100, 0xeb86d390, 21)
	NEXT64
	MOVQ sha512+8(FP), DI
	ADDQ (DI), AX
	ADDQ 8(DI), BX
	ADDQ 16(DI), CX
	ADDQ 24(DI), DX
	ADDQ 32(DI), R8
	ADDQ 40(DI), R9
	ADDQ 48(DI), R10
	ADDQ 56(DI), R11
	MOVQ AX, (DI)
	MOVQ BX, 8(DI)
	MOVQ CX, 16(DI)
	MOVQ DX, 24(DI)
	MOVQ R8, 32(DI)
	MOVQ R9, 40(DI)
	MOVQ R10, 48(DI)
	MOVQ R11, 56(DI)
	ADDQ $128, SI
	CMPQ SI, 144(SP)
	JB   loop
	MOVQ md5+0(FP), DI
	MOVL R12, (DI)
	MOVL R13, 4(DI)
	MOVL R14, 8(DI)
	MOVL R15, 12(DI)
	VZEROUPPER
	RET

// What makes little-endian words of big-endian ones.
DATA flip<>+0(SB)/8, $0x0001020304050607
DATA flip<>+8(SB)/8, $0x08090a0b0c0d0e0f
DATA flip<>+16(SB)/8, $0x0001020304050607
DATA flip<>+24(SB)/8, $0x08090a0b0c0d0e0f
GLOBL flip<>(SB), RODATA, $32

// The constants of SHA-512.
DATA k<>+0(SB)/8, $0x428a2f98d728ae22
DATA k<>+8(SB)/8, $0x7137449123ef65cd
DATA k<>+16(SB)/8, $0xb5c0fbcfec4d3b2f
DATA k<>+24(SB)/8, $0xe9b5dba58189dbbc
DATA k<>+32(SB)/8, $0x3956c25bf348b538
DATA k<>+40(SB)/8, $0x59f111f1b605d019
DATA k<>+48(SB)/8, $0x923f82a4af194f9b
DATA k<>+56(SB)/8, $0xab1c5ed5da6d8118
DATA k<>+64(SB)/8, $0xd807aa98a3030242
DATA k<>+72(SB)/8, $0x12835b0145706fbe
DATA k<>+80(SB)/8, $0x243185be4ee4b28c
DATA k<>+88(SB)/8, $0x550c7dc3d5ffb4e2
DATA k<>+96(SB)/8, $0x72be5d74f27b896f
DATA k<>+104(SB)/8, $0x80deb1fe3b1696b1
DATA k<>+112(SB)/8, $0x9bdc06a725c71235
DATA k<>+120(SB)/8, $0xc19bf174cf692694
DATA k<>+128(SB)/8, $0xe49b69c19ef14ad2
DATA k<>+136(SB)/8, $0xefbe4786384f25e3
DATA k<>+144(SB)/8, $0x0fc19dc68b8cd5b5
DATA k<>+152(SB)/8, $0x240ca1cc77ac9c65
DATA k<>+160(SB)/8, $0x2de92c6f592b0275
DATA k<>+168(SB)/8, $0x4a7484aa6ea6e483
DATA k<>+176(SB)/8, $0x5cb0a9dcbd41fbd4
DATA k<>+184(SB)/8, $0x76f988da831153b5
DATA k<>+192(SB)/8, $0x983e5152ee66dfab
DATA k<>+200(SB)/8, $0xa831c66d2db43210
DATA k<>+208(SB)/8, $0xb00327c898fb213f
DATA k<>+216(SB)/8, $0xbf597fc7beef0ee4
DATA k<>+224(SB)/8, $0xc6e00bf33da88fc2
DATA k<>+232(SB)/8, $0xd5a79147930aa725
DATA k<>+240(SB)/8, $0x06ca6351e003826f
DATA k<>+248(SB)/8, $0x142929670a0e6e70
DATA k<>+256(SB)/8, $0x27b70a8546d22ffc
DATA k<>+264(SB)/8, $0x2e1b21385c26c926
DATA k<>+272(SB)/8, $0x4d2c6dfc5ac42aed
DATA k<>+280(SB)/8, $0x53380d139d95b3df
DATA k<>+288(SB)/8, $0x650a73548baf63de
DATA k<>+296(SB)/8, $0x766a0abb3c77b2a8
DATA k<>+304(SB)/8, $0x81c2c92e47edaee6
DATA k<>+312(SB)/8, $0x92722c851482353b
DATA k<>+320(SB)/8, $0xa2bfe8a14cf10364
DATA k<>+328(SB)/8, $0xa81a664bbc423001
DATA k<>+336(SB)/8, $0xc24b8b70d0f89791
DATA k<>+344(SB)/8, $0xc76c51a30654be30
DATA k<>+352(SB)/8, $0xd192e819d6ef5218
DATA k<>+360(SB)/8, $0xd69906245565a910
DATA k<>+368(SB)/8, $0xf40e35855771202a
DATA k<>+376(SB)/8, $0x106aa07032bbd1b8
DATA k<>+384(SB)/8, $0x19a4c116b8d2d0c8
DATA k<>+392(SB)/8, $0x1e376c085141ab53
DATA k<>+400(SB)/8, $0x2748774cdf8eeb99
DATA k<>+408(SB)/8, $0x34b0bcb5e19b48a8
DATA k<>+416(SB)/8, $0x391c0cb3c5c95a63
DATA k<>+424(SB)/8, $0x4ed8aa4ae3418acb
DATA k<>+432(SB)/8, $0x5b9cca4f7763e373
DATA k<>+440(SB)/8, $0x682e6ff3d6b2b8a3
DATA k<>+448(SB)/8, $0x748f82ee5defb2fc
DATA k<>+456(SB)/8, $0x78a5636f43172f60
DATA k<>+464(SB)/8, $0x84c87814a1f0ab72
DATA k<>+472(SB)/8, $0x8cc702081a6439ec
DATA k<>+480(SB)/8, $0x90befffa23631e28
DATA k<>+488(SB)/8, $0xa4506cebde82bde9
DATA k<>+496(SB)/8, $0xbef9a3f7b2c67915
DATA k<>+504(SB)/8, $0xc67178f2e372532b
DATA k<>+512(SB)/8, $0xca273eceea26619c
DATA k<>+520(SB)/8, $0xd186b8c721c0c207
DATA k<>+528(SB)/8, $0xeada7dd6cde0eb1e
DATA k<>+536(SB)/8, $0xf57d4f7fee6ed178
DATA k<>+544(SB)/8, $0x06f067aa72176fba
DATA k<>+552(SB)/8, $0x0a637dc5a2c898a6
DATA k<>+560(SB)/8, $0x113f9804bef90dae
DATA k<>+568(SB)/8, $0x1b710b35131c471b
DATA k<>+576(SB)/8, $0x28db77f523047d84
DATA k<>+584(SB)/8, $0x32caab7b40c72493
DATA k<>+592(SB)/8, $0x3c9ebe0a15c9bebc
DATA k<>+600(SB)/8, $0x431d67c49c100d4c
DATA k<>+608(SB)/8, $0x4cc5d4becb3e42b6
DATA k<>+616(SB)/8, $0x597f299cfc657e2a
DATA k<>+624(SB)/8, $0x5fcb6fab3ad6faec
DATA k<>+632(SB)/8, $0x6c44198c4a475817
GLOBL k<>(SB), RODATA, $640
