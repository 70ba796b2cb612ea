package service

import (
	"context"
	"io"
	"strconv"
	"strings"
)

// A column of a table clips what stands in it to its width.
type column struct {
	width int
	label string
	right bool // its cells, but not its label, stand at the right
}

// A table has the form that the oldest releases of Glance gave theirs, which
// scripts read.
type table []column

// header returns the two lines above the rows.
func (t table) header() []string {
	labels, dashes := make([]string, len(t)), make([]string, len(t))
	for i, c := range t {
		labels[i] = column{width: c.width}.cell(c.label)
		dashes[i] = strings.Repeat("-", c.width)
	}
	return []string{strings.Join(labels, " "), strings.Join(dashes, " ")}
}

// row returns a line.
func (t table) row(cells ...string) string {
	line := make([]string, len(t))
	for i, c := range t {
		line[i] = c.cell(cells[i])
	}
	return strings.Join(line, " ")
}

func (c column) cell(text string) string {
	letters := []rune(strings.Map(printable, text))
	letters = letters[:min(len(letters), c.width)]
	space := strings.Repeat(" ", c.width-len(letters))
	if c.right {
		return space + string(letters)
	}
	return string(letters) + space
}

// printable replaces what would move the cursor of a terminal: names of images
// come from users.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}

// index prints the images of a service, and nothing if there is none.
func index(ctx context.Context, o Options, out io.Writer) (int, error) {
	service, err := o.Remote.filled().connect(ctx, true)
	if err != nil {
		return ManageFailed, err
	}
	images, err := service.List(ctx, "")
	if err != nil {
		return ManageFailed, err
	}
	if len(images) == 0 {
		return ManageDone, nil
	}
	tab := table{{36, "ID", false}, {30, "Name", false}, {20, "Disk Format", false}, {20, "Container Format", false}, {14, "Size", true}}
	lines := tab.header()
	for _, im := range images {
		lines = append(lines, tab.row(im.ID, im.Name, im.DiskFormat, im.ContainerFormat, strconv.FormatInt(im.Size, 10)))
	}
	return say(out, ManageDone, lines...)
}
