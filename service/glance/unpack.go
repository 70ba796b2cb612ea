package glance

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// containerPacked is the container format of what is to stay as it is packed.
const containerPacked = "compressed"

// unpack returns the staged data of an image, size bytes, as it is to be
// stored: what is packed with gzip, or alone in a zip archive, without its
// packing, if that is wanted. The caller closes it.
func (s *Images) unpack(ctx context.Context, im *Image, size int64) (io.ReadCloser, error) {
	url := s.imports.Staging.URL(im.ID)
	data, err := s.imports.Staging.Open(ctx, url, 0, -1)
	if err != nil || !s.imports.Unpack || *im.ContainerFormat == containerPacked {
		return data, err
	}
	head := bufio.NewReaderSize(data, 64<<10)
	magic, err := head.Peek(7)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, data.Close())
	}
	switch {
	case len(magic) >= 4 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(head)
		if err != nil {
			return nil, errors.Join(damaged(err), data.Close())
		}
		return packed{z, data}, nil
	case strings.HasPrefix(string(magic), "PK\x03\x04"):
		r := &pieces{open: func(off int64) (io.ReadCloser, error) { return s.imports.Staging.Open(ctx, url, off, -1) }}
		f, err := openOnly(r, size)
		if err != nil {
			return nil, errors.Join(err, r.Close(), data.Close())
		}
		return packed{f, closers{f, r, data}}, nil
	}
	if isLHA(magic) {
		return nil, errors.Join(refuse(ErrInvalid, "LHA archives cannot be unpacked; pack the image with gzip or zip."), data.Close())
	}
	return packed{plain{head}, data}, nil
}

// isLHA says whether data that begins so is an LHA archive: its method stands
// there, such as -lh5-. There is no library for them that could be relied on,
// and what their packer wants unpacked is not stored as it is.
func isLHA(head []byte) bool {
	if len(head) < 7 || string(head[2:4]) != "-l" || head[6] != '-' {
		return false
	}
	kind, method := head[4], head[5]
	return (kind == 'h' || kind == 'z') && (method >= '0' && method <= '9' || method == 'd' || method == 's' || method == 'x')
}

// openOnly opens the one file that a zip archive has.
func openOnly(r io.ReaderAt, size int64) (io.ReadCloser, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, damaged(err)
	}
	files := slices.DeleteFunc(z.File, func(f *zip.File) bool { return f.FileInfo().IsDir() })
	const encrypted = 1
	switch {
	case len(files) != 1:
		return nil, refuse(ErrInvalid, "The archive holds %d files; an image is one.", len(files))
	case files[0].Flags&encrypted != 0:
		return nil, refuse(ErrInvalid, "The archive is encrypted.")
	}
	f, err := files[0].Open()
	if err != nil {
		return nil, damaged(err)
	}
	return f, nil
}

func damaged(err error) error {
	return fmt.Errorf("%w: %w", refuse(ErrInvalid, "The packed data is damaged."), err)
}

// packed is data that is read out of its packing. What goes wrong is the fault
// of the data.
type packed struct {
	io.Reader
	io.Closer
}

func (p packed) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if _, is := p.Reader.(plain); err != nil && err != io.EOF && !is {
		err = damaged(err)
	}
	return n, err
}

// plain is data that turned out not to be packed.
type plain struct{ io.Reader }

// closers are closed together.
type closers []io.Closer

func (c closers) Close() error {
	var all []error
	for _, one := range c {
		all = append(all, one.Close())
	}
	return errors.Join(all...)
}

// pieces reads anywhere in data that can only be opened at an offset, and is
// quick where one piece follows the other. It is for one goroutine.
type pieces struct {
	open func(off int64) (io.ReadCloser, error)
	rc   io.ReadCloser
	at   int64
}

// ReadAt implements io.ReaderAt.
func (r *pieces) ReadAt(p []byte, off int64) (int, error) {
	if r.rc == nil || r.at != off {
		if err := r.Close(); err != nil {
			return 0, err
		}
		rc, err := r.open(off)
		if err != nil {
			return 0, err
		}
		r.rc, r.at = rc, off
	}
	n, err := io.ReadFull(r.rc, p)
	r.at += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// Close implements io.Closer.
func (r *pieces) Close() error {
	if r.rc == nil {
		return nil
	}
	rc := r.rc
	r.rc = nil
	return rc.Close()
}
