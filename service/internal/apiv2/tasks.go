package apiv2

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// taskRoutes is everything about tasks.
func (a *API) taskRoutes() []route {
	return []route{
		{"/v2/schemas/task", []method{{"GET", false, a.showSchema(taskSchema)}}},
		{"/v2/schemas/tasks", []method{{"GET", false, a.showSchema(tasksSchema)}}},
		{"/v2/tasks", []method{
			{"GET", false, a.listTasks},
			{"POST", true, a.createTask},
		}},
		{"/v2/tasks/{task}", []method{
			{"GET", false, a.showTask},
			{"DELETE", false, a.deleteTask},
		}},
		{"/v2/images/{id}/tasks", []method{
			{"GET", false, a.listImageTasks},
			{anyMethod, false, func(http.ResponseWriter, *http.Request) error { return &fault.Fault{Code: http.StatusNotFound} }},
		}},
	}
}

var (
	taskTypes    = []string{"import", "api_image_import"}
	taskStatuses = []string{"pending", "processing", "success", "failure"}
)

// taskProperties are the attributes of a task; a list leaves out those of a
// task on its own.
func taskProperties(alone bool) object {
	document := func(p property) member { return member{p.name, p.document()} }
	all := object{
		document(property{name: "id", types: text, description: "UUID of the task", pattern: uuidPattern}),
		document(property{name: "type", types: text, description: "What the task does", enum: taskTypes}),
		document(property{name: "status", types: text, description: "How far the task is", enum: taskStatuses}),
	}
	if alone {
		all = append(all,
			member{"input", object{{"description", "What the task was told to do"}, {"type", []string{"null", "object"}}}},
			member{"result", object{{"description", "What came of the task"}, {"type", []string{"null", "object"}}}})
	}
	all = append(all, document(property{name: "owner", types: text, description: "Project that the task belongs to"}))
	if alone {
		all = append(all, document(property{name: "message", types: text, description: "What there is to say about the task, as why it failed"}))
	}
	for _, p := range []property{
		{name: "image_id", types: text, description: "Image that the task is about"},
		{name: "request_id", types: text, description: "Request that the task was begun by"},
		{name: "user_id", types: text, description: "User that began the task"},
		{name: "expires_at", types: optionalText, description: "When the task may be forgotten"},
		{name: "created_at", types: text, description: "When the task was begun"},
		{name: "updated_at", types: text, description: "When the task last changed"},
		{name: "self", types: text, readOnly: true},
		{name: "schema", types: text, readOnly: true},
	} {
		all = append(all, document(p))
	}
	return all
}

func taskSchema() object {
	return object{{"name", "task"}, {"properties", taskProperties(true)}}
}

func tasksSchema() object {
	return object{
		{"name", "tasks"},
		{"properties", object{
			{"tasks", object{
				{"type", "array"},
				{"items", object{{"name", "task"}, {"properties", taskProperties(false)}}},
			}},
			{"schema", object{{"type", "string"}}},
		}},
		{"links", list{link("describedby", "{schema}")}},
	}
}

// taskDocument returns the document of a task; a task in a list has less.
func taskDocument(t *glance.Task, alone bool) object {
	doc := object{
		{"id", t.ID},
		{"type", string(t.Type)},
		{"status", string(t.Status)},
		{"owner", t.Owner},
	}
	if alone {
		doc = append(doc, member{"input", decoded(t.Input)}, member{"result", decoded(t.Result)}, member{"message", t.Message})
	}
	for _, m := range []struct{ name, value string }{
		{"image_id", string(t.ImageID)},
		{"request_id", t.RequestID},
		{"user_id", t.UserID},
	} {
		// An import of the old kind names its image in the result alone.
		if alone && m.value != "" && (m.name != "image_id" || t.Type != glance.LegacyImport) {
			doc = append(doc, member{m.name, m.value})
		}
	}
	if t.ExpiresAt != nil {
		doc = append(doc, member{"expires_at", timestamp(*t.ExpiresAt)})
	}
	return append(doc, object{
		{"created_at", timestamp(t.CreatedAt)},
		{"updated_at", timestamp(t.UpdatedAt)},
		{"self", "/v2/tasks/" + t.ID},
		{"schema", "/v2/schemas/task"},
	}...)
}

// decoded returns a document as appendJSON writes it.
func decoded(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return lists(v)
}

func (a *API) listTasks(w http.ResponseWriter, r *http.Request) error {
	q, params, err := a.parseTaskQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	none := q.Limit == 0
	if none { // of which as many as there are would come
		q.Limit = 1
	}
	tasks, more, err := a.images.Tasks(r.Context(), q)
	if err != nil {
		return err
	}
	if none {
		tasks, more = nil, false
	}
	all := make(list, 0, len(tasks))
	for _, t := range tasks {
		all = append(all, taskDocument(t, false))
	}
	doc := object{{"tasks", all}, {"first", pageLink("/v2/tasks", params, "")}, {"schema", "/v2/schemas/tasks"}}
	if more {
		doc = append(doc, member{"next", pageLink("/v2/tasks", params, tasks[len(tasks)-1].ID)})
	}
	return reply(w, http.StatusOK, appendJSON(nil, doc))
}

// parseTaskQuery reads the parameters of a list of tasks. It also returns them
// without the marker, in the order of the request.
func (a *API) parseTaskQuery(rawQuery string) (q glance.TaskQuery, params []param, err error) {
	all, err := parseParams(rawQuery)
	if err != nil {
		return q, nil, err
	}
	q.Limit = min(a.o.LimitDefault, a.o.LimitMax)
	for _, v := range all {
		if v.name != "marker" {
			params = append(params, v)
		}
		if err := a.parseTaskParam(&q, v); err != nil {
			return q, nil, err
		}
	}
	return q, params, nil
}

func (a *API) parseTaskParam(q *glance.TaskQuery, v param) (err error) {
	switch v.name {
	case "marker":
		q.Marker = v.value
		if _, err := glance.ParseID(v.value); err != nil {
			return bad("Invalid marker format")
		}
	case "limit":
		q.Limit, err = a.parseLimit(v.value)
	case "sort_key":
		q.Sort = v.value
	case "sort_dir":
		q.Ascending = v.value == "asc"
		if v.value != "asc" && v.value != "desc" {
			return bad("Invalid sort direction: %s", v.value)
		}
	case "status":
		q.Status = glance.TaskStatus(v.value)
		if !slices.Contains(taskStatuses, v.value) {
			return bad("Invalid status value: %s", v.value)
		}
	case "type":
		q.Type = glance.TaskType(v.value)
		if !slices.Contains(taskTypes, v.value) && v.value != string(glance.LocationImport) {
			return bad("Invalid type value: %s", v.value)
		}
	case "owner":
		q.Owner = v.value
	}
	return err
}

func (a *API) showTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.images.Task(r.Context(), r.PathValue("task"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, appendJSON(nil, taskDocument(t, true)))
}

func (a *API) deleteTask(_ http.ResponseWriter, r *http.Request) error {
	if err := a.images.May(r.Context(), glance.TasksAccess, nil); err != nil {
		return err
	}
	return &fault.Fault{
		Code:   http.StatusMethodNotAllowed,
		Text:   "This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching the time based on their expires_at property.",
		Bare:   true,
		Header: http.Header{"Allow": {"GET"}},
	}
}

// createTask begins an import of the old kind, which makes an image.
func (a *API) createTask(w http.ResponseWriter, r *http.Request) error {
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	if _, ok := body.(map[string]any); !ok {
		return bad("Task 'type' is required")
	}
	doc, err := validateBody(taskSchema(), body)
	if err != nil {
		return err
	}
	for _, name := range []string{"type", "input"} {
		if doc[name] == nil {
			return bad("Task '%s' is required", name)
		}
	}
	if err := a.images.May(r.Context(), glance.TasksAccess, nil); err != nil {
		return err
	}
	if kind := str(doc, "type"); kind != string(glance.LegacyImport) {
		return bad("Invalid type value: %s", kind)
	}
	input, ok := doc["input"].(map[string]any)
	if !ok {
		return bad("Task 'input' must be an object")
	}
	for _, name := range []string{"import_from", "import_from_format", "image_properties"} {
		if input[name] == nil {
			return bad("Input does not contain '%s' field", name)
		}
	}
	draft, err := a.parseDraft(input["image_properties"])
	if err != nil {
		return err
	}
	t, err := a.images.ImportNew(r.Context(), glance.NewImportRequest{
		URI:   str(input, "import_from"),
		Draft: draft,
		Input: appendJSON(nil, input),
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", base(r)+"/v2/tasks/"+t.ID)
	return reply(w, http.StatusCreated, appendJSON(nil, taskDocument(t, true)))
}

// microseconds is how the tasks of an image have their times.
const microseconds = "2006-01-02T15:04:05.000000"

func (a *API) listImageTasks(w http.ResponseWriter, r *http.Request) error {
	id, err := glance.ParseID(r.PathValue("id"))
	if err != nil {
		return &fault.Fault{Code: http.StatusNotFound}
	}
	tasks, err := a.images.ImageTasks(r.Context(), id)
	if err != nil {
		return err
	}
	all := make(list, 0, len(tasks))
	for _, t := range tasks {
		all = append(all, imageTaskDocument(t))
	}
	return reply(w, http.StatusOK, appendJSON(nil, object{{"tasks", all}}))
}

func imageTaskDocument(t *glance.Task) object {
	moment := func(at *time.Time) any {
		if at == nil {
			return nil
		}
		return at.Format(microseconds)
	}
	known := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return object{
		{"id", t.ID},
		{"type", string(t.Type)},
		{"status", string(t.Status)},
		{"owner", t.Owner},
		{"expires_at", moment(t.ExpiresAt)},
		{"created_at", moment(&t.CreatedAt)},
		{"updated_at", moment(&t.UpdatedAt)},
		{"deleted_at", nil},
		{"deleted", false},
		{"image_id", known(string(t.ImageID))},
		{"request_id", known(t.RequestID)},
		{"user_id", known(t.UserID)},
		{"input", decoded(t.Input)},
		{"result", decoded(t.Result)},
		{"message", t.Message},
	}
}
