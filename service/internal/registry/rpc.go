package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// A command is a function of the original's database, by its name.
type command func(ctx context.Context, args values) (any, error)

// commands are all that can be called by POST /rpc.
func (h *Handler) commands() map[string]command {
	all := map[string]command{
		"image_create":           h.rpcCreate,
		"image_update":           h.rpcUpdate,
		"image_destroy":          h.rpcDestroy,
		"image_get":              h.rpcGet,
		"image_get_all":          h.rpcGetAll,
		"is_image_visible":       h.rpcVisible,
		"image_property_create":  h.rpcPropertyCreate,
		"image_property_delete":  h.rpcPropertyDelete,
		"image_member_create":    h.rpcMemberCreate,
		"image_member_update":    h.rpcMemberUpdate,
		"image_member_delete":    h.rpcMemberDelete,
		"image_member_find":      h.rpcMemberFind,
		"image_member_count":     h.rpcMemberCount,
		"image_tag_set_all":      h.rpcTagSetAll,
		"image_tag_create":       h.rpcTagCreate,
		"image_tag_delete":       h.rpcTagDelete,
		"image_tag_get_all":      h.rpcTagGetAll,
		"image_location_add":     h.rpcLocationAdd,
		"image_location_update":  h.rpcLocationUpdate,
		"image_location_delete":  h.rpcLocationDelete,
		"user_get_storage_usage": h.rpcUsage,
	}
	if h.o.Tasks != nil {
		all["task_create"] = h.rpcTaskCreate
		all["task_get"] = h.rpcTaskGet
		all["task_get_all"] = h.rpcTaskGetAll
		all["task_update"] = h.rpcTaskUpdate
		all["task_delete"] = h.rpcTaskDelete
	}
	if h.o.Definitions != nil {
		h.addMetadefs(all)
	}
	return all
}

// An exception is an error in the form in which Python raises it again.
type exception struct{ class, text string }

func (e *exception) Error() string { return e.text }

const exceptions = "glance.common.exception."

func raise(class, format string, args ...any) error {
	return &exception{exceptions + class, fmt.Sprintf(format, args...)}
}

// missingArgument is what a call without an argument that it needs comes to.
func missingArgument(name string) error {
	return &exception{"builtins.TypeError", "missing 1 required argument: '" + name + "'"}
}

// exceptionOf returns how err is told. What is no known kind is told as a
// failure, and why stands in the log only.
func (h *Handler) exceptionOf(ctx context.Context, name string, err error) *exception {
	if e, ok := errors.AsType[*exception](err); ok {
		return e
	}
	if e, ok := errors.AsType[*invalid](err); ok {
		return &exception{exceptions + "Invalid", e.text}
	}
	for _, kind := range []struct {
		err   error
		class string
	}{
		{glance.ErrExists, "Duplicate"}, {glance.ErrConflict, "Conflict"},
		{glance.ErrNotFound, "NotFound"}, {glance.ErrInvalid, "Invalid"},
	} {
		if errors.Is(err, kind.err) {
			return &exception{exceptions + kind.class, kind.err.Error()}
		}
	}
	if ctx.Err() == nil {
		h.o.Log.ErrorContext(ctx, "registry command failed", slog.String("command", name), slog.Any("error", err))
	}
	return &exception{exceptions + "RPCError", "the command failed"}
}

// rpc carries out a list of commands, and answers with what each comes to. None
// is carried out unless all of them are well formed.
func (h *Handler) rpc(r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil || list == nil {
		if !json.Valid(body) {
			return nil, bad("Malformed JSON in request body.")
		}
		return nil, bad("Request must be a list of commands")
	}
	type job struct {
		name string
		args values
	}
	var jobs []job
	commands := h.commands()
	for _, raw := range list {
		var c map[string]json.RawMessage
		if json.Unmarshal(raw, &c) != nil || c == nil {
			return nil, bad("Bad Command: %s", pythonText(raw))
		}
		var j job
		if json.Unmarshal(c["command"], &j.name) != nil || j.name == "" || truth(c["kwargs"]) && json.Unmarshal(c["kwargs"], &j.args) != nil {
			return nil, bad("Wrong command structure: %s", pythonText(raw))
		}
		if commands[j.name] == nil {
			return nil, v1wire.Refused(http.StatusNotFound, "Command not found")
		}
		jobs = append(jobs, j)
	}
	results := make([]any, len(jobs))
	for i, j := range jobs {
		result, err := commands[j.name](r.Context(), j.args)
		if err != nil {
			e := h.exceptionOf(r.Context(), j.name, err)
			result = map[string]any{"_error": struct {
				Class string `json:"cls"`
				Value string `json:"val"`
			}{e.class, e.text}}
		}
		results[i] = result
	}
	return results, nil
}

// A moment is a time as commands carry it.
type moment time.Time

// MarshalJSON implements json.Marshaler.
func (m moment) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type  string       `json:"_type"`
		Value v1wire.Stamp `json:"_value"`
	}{"datetime", v1wire.Stamp(m)})
}

func momentOf(t *time.Time) *moment {
	if t == nil {
		return nil
	}
	m := moment(*t)
	return &m
}

// time returns a time that commands carry, or that is written out.
func (v values) time(name string) (time.Time, bool) {
	var typed struct {
		Type  string `json:"_type"`
		Value string `json:"_value"`
	}
	text := v.text(name)
	if json.Unmarshal(v[name], &typed) == nil && typed.Type == "datetime" {
		text = typed.Value
	}
	return v1wire.Time(text)
}

// object returns an argument that is an object.
func (v values) object(name string) (values, error) {
	var o values
	if json.Unmarshal(v[name], &o) != nil || o == nil {
		return nil, missingArgument(name)
	}
	return o, nil
}

// needed returns an argument that is text.
func (v values) needed(name string) (string, error) {
	s, null := plain(v[name])
	if !v.has(name) || null {
		return "", missingArgument(name)
	}
	return s, nil
}

// truth returns an argument that is a boolean, false without it.
func (v values) truth(name string) bool { return truth(v[name]) }

// pythonText returns JSON as Python prints it: text as it is where it stands
// alone, and otherwise what would be written in a program.
func pythonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != "null" {
		return s
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b strings.Builder
	pythonValue(d, &b)
	return b.String()
}

// pythonValue writes the next value of d, which is well formed.
func pythonValue(d *json.Decoder, b *strings.Builder) {
	t, err := d.Token()
	if err != nil {
		return
	}
	switch t := t.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[t])
	case string:
		quote := "'"
		if strings.Contains(t, "'") && !strings.Contains(t, `"`) {
			quote = `"`
		}
		b.WriteString(quote + strings.NewReplacer(`\`, `\\`, "\n", `\n`, quote, `\`+quote).Replace(t) + quote)
	case json.Delim:
		b.WriteString(t.String())
		for first := true; d.More(); first = false {
			if !first {
				b.WriteString(", ")
			}
			pythonValue(d, b)
			if t == '{' {
				b.WriteString(": ")
				pythonValue(d, b)
			}
		}
		end, _ := d.Token() // the closing one, for it is well formed
		fmt.Fprint(b, end)
	default:
		fmt.Fprint(b, t)
	}
}
