package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"glancectl/service/client"
)

// An opener begins to read the data of an image.
type opener func(ctx context.Context) (io.ReadCloser, error)

// put makes the image at the target what it is at the source. To is nil if the
// target has none.
func (c *Copier) put(ctx context.Context, from, to *image, open opener) error {
	to, err := c.settled(ctx, to)
	switch {
	case err != nil:
		return err
	case to != nil && (to.Status == active || to.Status == deactivated):
		return c.adjust(ctx, from, to)
	case from.Status != active:
		c.o.Detail(fmt.Sprintf("%s is %s: left out", from.ID, from.Status))
		return nil
	case c.o.MetaOnly:
		c.o.Detail(from.ID + " has no data at the target: left out")
		return nil
	case to != nil && to.Status != queued:
		return fmt.Errorf("the target has it, %s: somebody else is bringing data, or did not finish", to.Status)
	}
	c.o.Say(fmt.Sprintf("Image %s (%d bytes) is being synced", from.title(), from.Size))
	made := to == nil
	if made {
		err = c.create(ctx, from)
	} else {
		err = c.prepare(ctx, from, to)
	}
	if err != nil {
		return err
	}
	if err := c.upload(ctx, from, open); err != nil {
		if made && c.gone(ctx, from.ID) {
			err = errors.Join(err, c.target.Delete(ctx, from.ID)) // nobody will ever finish it
		}
		return err
	}
	if to, err = c.now(ctx, from.ID); err != nil {
		return err
	}
	whole := *from
	whole.Version1 = false // what it could not tell is nobody else's either
	return c.adjust(ctx, &whole, to)
}

// settled waits a while for an image that is getting data: a run that was
// broken off a moment ago is not noticed at once.
func (c *Copier) settled(ctx context.Context, to *image) (*image, error) {
	for n := 0; n < 3 && to != nil && to.Status == saving; n++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.o.Pause(n):
		}
		var err error
		if to, err = c.now(ctx, to.ID); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// now asks the target what it has of an image.
func (c *Copier) now(ctx context.Context, id string) (*image, error) {
	return c.at(ctx, nil, id)
}

// unseen is the image without what lets others see it, and lets nobody remove
// it: both come when its data is there.
func (c *Copier) unseen(im *image) client.Record {
	r := im.Record
	r.Visibility, r.Protected = "private", false
	for _, part := range []struct {
		name string
		text *string
	}{{"name", &r.Name}, {"owner", &r.Owner}} {
		if c.left(part.name, false) {
			*part.text = ""
		}
	}
	if c.left("tags", false) {
		r.Tags = nil
	}
	if c.left("os_hidden", false) {
		r.Hidden = false
	}
	if c.left("min_disk", false) {
		r.MinDisk = 0
	}
	if c.left("min_ram", false) {
		r.MinRAM = 0
	}
	r.Properties = make(map[string]string)
	for name, value := range im.Properties {
		if !c.left(name, true) {
			r.Properties[name] = value
		}
	}
	return r
}

// create makes the image at the target.
func (c *Copier) create(ctx context.Context, from *image) error {
	r := c.unseen(from)
	err := c.again(ctx, from.ID, func() error { return c.target.Add(ctx, &r) })
	if e, ok := errors.AsType[*client.Error](err); ok {
		switch {
		case e.Status == http.StatusConflict:
			// An answer that was lost makes the second try one too many.
			if to, nowErr := c.now(ctx, from.ID); nowErr == nil && to != nil && to.Status == queued {
				return c.prepare(ctx, from, to)
			}
			return fmt.Errorf("the target has it already, or had it, but does not show it: the token may not be allowed to see all images: %w", err)
		case e.Status == http.StatusForbidden && r.Owner != "":
			return fmt.Errorf("%w (-D with owner leaves the owner out)", err)
		}
	}
	return err
}

// prepare makes an image that waits for its data ready for it.
func (c *Copier) prepare(ctx context.Context, from, to *image) error {
	quiet := &image{Record: c.unseen(from)}
	quiet.Status = to.Status
	return c.change(ctx, from.ID, steps(c.diff(quiet, to)))
}

func (c *Copier) change(ctx context.Context, id string, steps []client.Change) error {
	if len(steps) == 0 {
		return nil
	}
	return c.again(ctx, id, func() error { return c.target.Change(ctx, id, steps) })
}

// upload brings the data. When it breaks off the target has the image without
// data, and gets it once more.
func (c *Copier) upload(ctx context.Context, from *image, open opener) error {
	return c.again(ctx, from.ID, func() error {
		guarded, guard := guard(ctx)
		defer guard.stop()
		data, err := open(guarded)
		if err != nil {
			return guard.judge(err)
		}
		defer data.Close()
		checked := c.check(from, data, guard)
		err = c.target.Upload(guarded, from.ID, checked, from.Size)
		wrong := checked.end()
		if err != nil {
			return c.spoiled(ctx, from, wrong, guard.judge(err))
		}
		return nil
	})
}

// spoiled says what an upload came to that failed with err, perhaps because
// something was wrong with the data. That its answer was lost is no failure.
func (c *Copier) spoiled(ctx context.Context, from *image, wrong, err error) error {
	if wrong != nil {
		err = wrong
	}
	if ctx.Err() != nil || !passing(err) && !conflict(err) {
		return err
	}
	to, nowErr := c.now(ctx, from.ID)
	switch {
	case nowErr != nil || to == nil:
		return err
	case to.Status == active:
		return nil
	case to.Status == saving, to.Status == queued && conflict(err): // it had not noticed yet that the last try had ended
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}

func conflict(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == http.StatusConflict
}

// adjust makes all but the data of an image, which has data at the target, what
// it is at the source.
func (c *Copier) adjust(ctx context.Context, from, to *image) error {
	if to == nil {
		return errors.New("the target has it no more")
	}
	differences := c.diff(from, to)
	if from.Status == active || from.Status == deactivated {
		if d := has(differences, "size", "checksum", "os_hash_value"); d != nil {
			return fmt.Errorf("the target has other data: %s is %s, not %s", d.name, d.to, d.from)
		}
	}
	if len(differences) == 0 {
		return nil
	}
	c.o.Detail(fmt.Sprintf("Image %s: metadata has changed", from.title()))
	if err := c.change(ctx, from.ID, steps(differences)); err != nil {
		return err
	}
	if err := c.status(ctx, from, has(differences, "status")); err != nil {
		return err
	}
	visibility := to.Visibility
	if has(differences, "visibility") != nil {
		visibility = from.Visibility
	}
	if from.shared && visibility == wordShared && !c.left(membersName, false) {
		return c.share(ctx, from)
	}
	return nil
}

// status makes an image at the target one whose data may be read, or not, as it
// is at the source.
func (c *Copier) status(ctx context.Context, from *image, d *difference) error {
	switch {
	case d == nil:
		return nil
	case from.Status == deactivated:
		return c.target.Deactivate(ctx, from.ID)
	case from.Status == active:
		return c.target.Reactivate(ctx, from.ID)
	}
	return nil
}

// share makes the members of an image at the target those of the source.
func (c *Copier) share(ctx context.Context, from *image) error {
	there, err := c.target.Members(ctx, from.ID)
	if err != nil {
		return err
	}
	for _, m := range from.members {
		at := slices.IndexFunc(there, func(t client.Member) bool { return t.ID == m.ID })
		status := "pending"
		if at >= 0 {
			status = there[at].Status
		} else if err := c.target.Share(ctx, from.ID, m.ID); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
		if status == m.Status || from.Version1 && at >= 0 {
			continue
		}
		if err := c.target.SetMember(ctx, from.ID, m); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
	}
	for _, t := range there {
		if slices.ContainsFunc(from.members, func(m client.Member) bool { return m.ID == t.ID }) {
			continue
		}
		if err := c.target.Unshare(ctx, from.ID, t.ID); err != nil {
			return fmt.Errorf("member %s: %w", t.ID, err)
		}
	}
	return nil
}
