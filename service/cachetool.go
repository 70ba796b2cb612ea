package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"glancectl/service/client"
	"glancectl/service/glance"
)

// CacheManageUsageText lists the commands of glance-cache-manage.
const CacheManageUsageText = `usage: glance-cache-manage COMMAND [options] [args]

  list-cached               list the images that are cached
  list-queued               list the images that are queued for caching
  queue-image ID            queue an image for caching
  delete-cached-image ID    remove an image from the cache
  delete-all-cached-images  remove all images from the cache
  delete-queued-image ID    remove an image from the queue
  delete-all-queued-images  remove all images from the queue
  help [COMMAND]            show this text

What changes something asks first, unless it is called with --force.
`

// A cacheTool is a call of glance-cache-manage.
type cacheTool struct {
	o       Options
	out     io.Writer
	service *client.Client
	id      string // of the image that is meant
}

// A cacheCommand is what glance-cache-manage can do.
type cacheCommand struct {
	what     string // it is, for who is told that it failed
	one      bool   // it is about one image
	question string // that is asked first; "" means none. %s is the ID
	run      func(ctx context.Context, t *cacheTool) error
}

var cacheCommands = map[string]cacheCommand{
	"list-cached":              {"show cached images", false, "", listCached},
	"list-queued":              {"show queued images", false, "", listQueued},
	"queue-image":              {"queue the specified image for caching", true, "Queue image %s for caching?", queueImage},
	"delete-cached-image":      {"delete the specified cached image", true, "Delete cached image %s?", deleteCached},
	"delete-all-cached-images": {"Delete all cached images", false, "Delete all cached images?", deleteAllCached},
	"delete-queued-image":      {"delete the specified queued image", true, "Delete queued image %s?", deleteQueued},
	"delete-all-queued-images": {"Delete all queued images", false, "Delete all queued images?", deleteAllQueued},
}

// CacheManage carries out a command of glance-cache-manage and returns its exit
// code. It says on Stdout what went wrong, as the original does.
func CacheManage(ctx context.Context, o Options, args []string) (code int, err error) {
	out := o.Stdout
	if out == nil {
		out = os.Stdout
	}
	if len(args) == 0 || args[0] == "help" {
		return say(out, ManageDone, CacheManageUsageText)
	}
	c, ok := cacheCommands[args[0]]
	if !ok {
		return ManageFailed, fmt.Errorf("unknown command: %s\n%s", args[0], strings.TrimSuffix(CacheManageUsageText, "\n"))
	}
	t := &cacheTool{o: o, out: out}
	switch args = args[1:]; {
	case c.one && len(args) != 1:
		return say(out, ManageFailed, "Please specify one and only ID of the image as the first argument")
	case !c.one && len(args) > 0:
		return ManageFailed, fmt.Errorf("unexpected argument %q", args[0])
	case c.one:
		if _, err := glance.ParseID(args[0]); err != nil {
			return say(out, ManageFailed, fmt.Sprintf("Image ID '%s' is not a valid UUID.", args[0]))
		}
		t.id = args[0]
	}
	if c.question != "" && !o.Force {
		question := c.question
		if c.one {
			question = fmt.Sprintf(question, t.id)
		}
		if yes, err := t.asks(question); err != nil || !yes {
			return ManageDone, err
		}
	}
	remote := o.Remote.filled()
	if t.service, err = remote.connect(ctx, false); err == nil {
		err = c.run(ctx, t)
	}
	if err != nil {
		return t.failed(c.what, remote, err)
	}
	return ManageDone, nil
}

// asks asks a question; no answer means no.
func (t *cacheTool) asks(question string) (bool, error) {
	in := t.o.Stdin
	if in == nil {
		in = os.Stdin
	}
	if _, err := fmt.Fprintf(t.out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// failed says why a command failed.
func (t *cacheTool) failed(what string, remote Remote, err error) (int, error) {
	if e, ok := errors.AsType[*client.Error](err); ok {
		switch e.Status {
		case http.StatusNotFound:
			host := remote.Host
			if host == "" {
				host = localService
			}
			return say(t.out, ManageFailed, "Cache management middleware not enabled on host "+host)
		case http.StatusForbidden:
			return say(t.out, ManageFailed, "Not authorized to make this request.")
		}
	}
	return say(t.out, ManageFailed, fmt.Sprintf("Failed to %s. Got error:", what), err.Error())
}

// did says what was done, to who wants to know.
func (t *cacheTool) did(format string, args ...any) error {
	if !t.o.Verbose {
		return nil
	}
	_, err := fmt.Fprintf(t.out, format+"\n", args...)
	return err
}

func listCached(ctx context.Context, t *cacheTool) error {
	images, err := t.service.Cached(ctx)
	if err != nil {
		return err
	}
	if len(images) == 0 {
		_, err := fmt.Fprintln(t.out, "No cached images.")
		return err
	}
	at := func(seconds float64) string {
		return time.UnixMicro(int64(seconds * 1e6)).UTC().Format("2006-01-02T15:04:05")
	}
	tab := table{{36, "ID", false}, {19, "Last Accessed (UTC)", false}, {19, "Last Modified (UTC)", false}, {14, "Size", true}, {10, "Hits", true}}
	lines := append([]string{fmt.Sprintf("Found %d cached images...", len(images))}, tab.header()...)
	for _, im := range images {
		accessed := "N/A"
		if im.LastAccessed != 0 {
			accessed = at(im.LastAccessed)
		}
		lines = append(lines, tab.row(im.ID, accessed, at(im.LastModified), strconv.FormatInt(im.Size, 10), strconv.FormatInt(im.Hits, 10)))
	}
	_, err = say(t.out, ManageDone, lines...)
	return err
}

func listQueued(ctx context.Context, t *cacheTool) error {
	ids, err := t.service.Queued(ctx)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		_, err := fmt.Fprintln(t.out, "No queued images.")
		return err
	}
	tab := table{{36, "ID", false}}
	lines := append([]string{fmt.Sprintf("Found %d queued images...", len(ids))}, tab.header()...)
	for _, id := range ids {
		lines = append(lines, tab.row(id))
	}
	_, err = say(t.out, ManageDone, lines...)
	return err
}

func queueImage(ctx context.Context, t *cacheTool) error {
	if err := t.service.Queue(ctx, t.id); err != nil {
		return err
	}
	return t.did("Queued image %s for caching", t.id)
}

func deleteCached(ctx context.Context, t *cacheTool) error {
	if err := t.service.Uncache(ctx, t.id); err != nil {
		return err
	}
	return t.did("Deleted cached image %s", t.id)
}

func deleteQueued(ctx context.Context, t *cacheTool) error {
	if err := t.service.Unqueue(ctx, t.id); err != nil {
		return err
	}
	return t.did("Deleted queued image %s", t.id)
}

func deleteAllCached(ctx context.Context, t *cacheTool) error {
	n, err := t.service.UncacheAll(ctx)
	if err != nil {
		return err
	}
	return t.did("Deleted %d cached images", n)
}

func deleteAllQueued(ctx context.Context, t *cacheTool) error {
	n, err := t.service.UnqueueAll(ctx)
	if err != nil {
		return err
	}
	return t.did("Deleted %d queued images", n)
}
