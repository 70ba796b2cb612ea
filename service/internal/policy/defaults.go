package policy

import (
	"strings"

	"glancectl/service/glance"
)

// A policyDefault is what holds for a rule that no file has.
type policyDefault struct {
	check  string
	legacy string // what older releases let through as well; empty: no more
	guard  guard  // what they looked at beside the rule
	helper bool   // only for use in other rules, with tokens of every scope
	calls  string // the requests that the rule is asked about
}

// contextIsAdmin is the rule that says who is an admin.
const contextIsAdmin = "context_is_admin"

// Checks that several rules have.
const (
	fallback        = "rule:default"
	metadefFallback = "rule:metadef_default"
	managesCache    = "rule:manage_image_cache"

	isAdmin          = "rule:context_is_admin"
	isMetadefAdmin   = "rule:metadef_admin"
	isMember         = isAdmin + " or (role:member and project_id:%(project_id)s)"
	isReader         = isAdmin + " or (role:reader and project_id:%(project_id)s)"
	isReaderOrPublic = isAdmin + " or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
	isReaderOrShared = isAdmin + " or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"

	sees = "(project_id:%(project_id)s or project_id:%(member_id)s or " +
		"'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)"
	seesAsReader = isAdmin + " or (role:reader and " + sees + ")"
	seesAsMember = isAdmin + " or (role:member and " + sees + ")"
)

// defaults is every rule there is. Whether an image can be seen at all is no
// matter of rules: get_image and download_image let shared images through
// because it was found out before who they are shared with.
var defaults = map[string]policyDefault{
	defaultFallback: {check: "", legacy: isAdmin, helper: true},
	contextIsAdmin:  {check: "role:admin", helper: true},
	"service_api":   {check: "role:service or role:admin", helper: true},

	// Images.
	"add_image":             {check: "rule:context_is_admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)", legacy: fallback, guard: owners, calls: "POST /v2/images"},
	"delete_image":          {check: isMember, legacy: fallback, guard: owners, calls: "DELETE /v2/images/{image_id}"},
	"get_image":             {check: seesAsReader, legacy: fallback, calls: "GET /v2/images/{image_id}"},
	"get_images":            {check: isReader, legacy: fallback, calls: "GET /v2/images"},
	"modify_image":          {check: isMember, legacy: fallback, guard: owners, calls: "PATCH /v2/images/{image_id}"},
	"publicize_image":       {check: isAdmin, guard: owners, calls: "PATCH /v2/images/{image_id}"},
	"communitize_image":     {check: isMember, legacy: fallback, guard: owners, calls: "PATCH /v2/images/{image_id}"},
	"download_image":        {check: seesAsMember, legacy: fallback, calls: "GET /v2/images/{image_id}/file"},
	"download_from_store":   {check: seesAsMember, calls: "GET /v2/images/{image_id}/file"},
	"upload_image":          {check: isMember, legacy: fallback, guard: owners, calls: "PUT /v2/images/{image_id}/file"},
	"delete_image_location": {check: isAdmin, legacy: fallback, guard: owners, calls: "PATCH /v2/images/{image_id}"},
	"get_image_location":    {check: isReader, legacy: fallback, calls: "GET /v2/images/{image_id}"},
	"set_image_location":    {check: isMember, legacy: fallback, guard: owners, calls: "PATCH /v2/images/{image_id}"},
	"add_image_location":    {check: "rule:service_api or (role:member and project_id:%(project_id)s and project_id:%(owner)s)", calls: "POST /v2/images/{image_id}/locations"},
	"fetch_image_location":  {check: "rule:service_api", calls: "GET /v2/images/{image_id}/locations"},

	// Members.
	"add_member":    {check: isMember, legacy: fallback, guard: owners, calls: "POST /v2/images/{image_id}/members"},
	"delete_member": {check: isMember, legacy: fallback, guard: owners, calls: "DELETE /v2/images/{image_id}/members/{member_id}"},
	"get_member":    {check: isReaderOrShared, legacy: fallback, guard: ownersAndMembers, calls: "GET /v2/images/{image_id}/members/{member_id}"},
	"get_members":   {check: isReaderOrShared, legacy: fallback, guard: ownersAndMembers, calls: "GET /v2/images/{image_id}/members"},
	"modify_member": {check: "rule:context_is_admin or (role:member and project_id:%(member_id)s)", legacy: fallback, guard: members, calls: "PUT /v2/images/{image_id}/members/{member_id}"},

	// What else is done with images.
	"manage_image_cache": {check: isAdmin, calls: "GET /v2/cached_images, DELETE /v2/cached_images, PUT /v2/queued_images/{image_id}"},
	"deactivate":         {check: isMember, legacy: fallback, guard: owners, calls: "POST /v2/images/{image_id}/actions/deactivate"},
	"reactivate":         {check: isMember, legacy: fallback, guard: owners, calls: "POST /v2/images/{image_id}/actions/reactivate"},
	"copy_image":         {check: isAdmin, calls: "POST /v2/images/{image_id}/import"},
	"list_cached_nodes":  {check: isAdmin, calls: "GET /v2/cache/nodes/{image_id}"},

	// Tasks.
	"get_task":         {check: fallback, legacy: fallback, calls: "GET /v2/tasks/{task_id}"},
	"get_tasks":        {check: fallback, legacy: fallback, calls: "GET /v2/tasks"},
	"add_task":         {check: fallback, legacy: fallback, calls: "POST /v2/tasks"},
	"modify_task":      {check: fallback, calls: "DELETE /v2/tasks/{task_id}"},
	"tasks_api_access": {check: isAdmin, calls: "GET /v2/tasks/{task_id}, GET /v2/tasks, POST /v2/tasks, DELETE /v2/tasks/{task_id}"},

	// Metadata definitions.
	"metadef_default":                          {check: "", helper: true},
	"metadef_admin":                            {check: isAdmin, helper: true},
	"get_metadef_namespace":                    {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}"},
	"get_metadef_namespaces":                   {check: isReader, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces"},
	"modify_metadef_namespace":                 {check: isMetadefAdmin, calls: "PUT /v2/metadefs/namespaces/{namespace_name}"},
	"add_metadef_namespace":                    {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces"},
	"delete_metadef_namespace":                 {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}"},
	"get_metadef_object":                       {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/objects/{object_name}"},
	"get_metadef_objects":                      {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/objects"},
	"modify_metadef_object":                    {check: isMetadefAdmin, calls: "PUT /v2/metadefs/namespaces/{namespace_name}/objects/{object_name}"},
	"add_metadef_object":                       {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces/{namespace_name}/objects"},
	"delete_metadef_object":                    {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}/objects/{object_name}"},
	"list_metadef_resource_types":              {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/resource_types"},
	"get_metadef_resource_type":                {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/resource_types"},
	"add_metadef_resource_type_association":    {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces/{namespace_name}/resource_types"},
	"remove_metadef_resource_type_association": {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}/resource_types/{name}"},
	"get_metadef_property":                     {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/properties/{property_name}"},
	"get_metadef_properties":                   {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/properties"},
	"modify_metadef_property":                  {check: isMetadefAdmin, calls: "PUT /v2/metadefs/namespaces/{namespace_name}/properties/{property_name}"},
	"add_metadef_property":                     {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces/{namespace_name}/properties"},
	"remove_metadef_property":                  {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}/properties/{property_name}"},
	"get_metadef_tag":                          {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/tags/{tag_name}"},
	"get_metadef_tags":                         {check: isReaderOrPublic, legacy: metadefFallback, calls: "GET /v2/metadefs/namespaces/{namespace_name}/tags"},
	"modify_metadef_tag":                       {check: isMetadefAdmin, calls: "PUT /v2/metadefs/namespaces/{namespace_name}/tags/{tag_name}"},
	"add_metadef_tag":                          {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces/{namespace_name}/tags/{tag_name}"},
	"add_metadef_tags":                         {check: isMetadefAdmin, calls: "POST /v2/metadefs/namespaces/{namespace_name}/tags"},
	"delete_metadef_tag":                       {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}/tags/{tag_name}"},
	"delete_metadef_tags":                      {check: isMetadefAdmin, calls: "DELETE /v2/metadefs/namespaces/{namespace_name}/tags"},

	// Cache and stores.
	"cache_image":        {check: isAdmin, legacy: managesCache, calls: "PUT /v2/cache/{image_id}"},
	"cache_list":         {check: isAdmin, legacy: managesCache, calls: "GET /v2/cache"},
	"cache_delete":       {check: isAdmin, legacy: managesCache, calls: "DELETE /v2/cache, DELETE /v2/cache/{image_id}"},
	"cache_clean":        {check: isAdmin, calls: "POST /v2/cache/clean"},
	"cache_prune":        {check: isAdmin, calls: "POST /v2/cache/prune"},
	"stores_info_detail": {check: "rule:context_is_admin or rule:service_api", legacy: isAdmin, calls: "GET /v2/info/stores/detail"},
}

// parse returns the check of a default.
func (d policyDefault) parse(legacy bool) (check, error) {
	c, err := parseText(d.check)
	if err != nil || !legacy || d.legacy == "" || d.legacy == d.check {
		return c, err
	}
	old, err := parseText(d.legacy)
	return anyOf{c, old}, err
}

// writes says whether a rule is asked about requests that change something.
func (d policyDefault) writes() bool {
	for call := range strings.SplitSeq(d.calls, ", ") {
		if call != "" && !strings.HasPrefix(call, "GET ") {
			return true
		}
	}
	return false
}

// A guard is what releases before the rules of today were sure of in any case,
// because their files left every rule open. Admins pass all of them.
type guard int

const (
	anybody          guard = iota
	owners                 // of the image
	members                // the project that the member record is of
	ownersAndMembers       // either
)

func (g guard) passes(c *glance.Caller, t *glance.Target) bool {
	owner := t.Image != nil && t.Image.Owner != nil && c.ProjectID != "" && *t.Image.Owner == c.ProjectID
	member := t.Member != "" && t.Member == c.ProjectID
	switch {
	case g == anybody || c.Admin:
		return true
	case g == owners:
		return owner
	case g == members:
		return member
	}
	return owner || member
}
