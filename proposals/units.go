package proposals

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"time"
)

// parseDuration reads a number of seconds or Go's notation of a duration.
// Configuration files have seconds only, so the result is whole seconds.
func parseDuration(s string) (time.Duration, error) {
	var t time.Duration
	if strings.Trim(s, "0123456789") == "" && s != "" {
		var err error
		if t, err = time.ParseDuration(s + "s"); err != nil {
			return 0, errors.New("too long")
		}
	} else {
		var err error
		if t, err = time.ParseDuration(s); err != nil {
			return 0, errors.New("not a duration")
		}
	}
	if t < 0 {
		return 0, errors.New("negative")
	}
	if t%time.Second != 0 {
		return 0, errors.New("not whole seconds")
	}
	return t, nil
}

// sizes are the units of a size.
var sizes = map[string]int64{
	"": 1, "b": 1,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// parseSize reads a number of bytes, or a number with a unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, ok := sizes[strings.ToLower(s[len(digits):])]
	if !ok {
		return 0, errors.New("unknown unit; known: KiB, MiB, GiB, TiB, KB, MB, GB, TB")
	}
	digits = strings.TrimSpace(digits)
	if digits == "" || strings.Trim(digits, "0123456789.") != "" || len(digits) > 32 {
		return 0, errors.New("not a size")
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, errors.New("not a size")
	}
	n.Mul(n, new(big.Rat).SetInt64(unit))
	switch {
	case !n.IsInt():
		return 0, errors.New("not whole bytes")
	case n.Sign() <= 0:
		return 0, errors.New("must be more than 0")
	case n.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) > 0:
		return 0, errors.New("too large")
	}
	return n.Num().Int64(), nil
}
