package glance

import "slices"

// A Rule is the name of something a caller wants to do, as policy files
// spell it.
type Rule string

// The rules that Images asks about.
const (
	AddImage            Rule = "add_image"
	GetImage            Rule = "get_image"
	GetImages           Rule = "get_images"
	ModifyImage         Rule = "modify_image"
	DeleteImage         Rule = "delete_image"
	PublicizeImage      Rule = "publicize_image"
	CommunitizeImage    Rule = "communitize_image"
	UploadImage         Rule = "upload_image"
	DownloadImage       Rule = "download_image"
	SetImageLocation    Rule = "set_image_location"
	GetImageLocation    Rule = "get_image_location"
	DeleteImageLocation Rule = "delete_image_location"
	AddMember           Rule = "add_member"
	GetMember           Rule = "get_member"
	GetMembers          Rule = "get_members"
	ModifyMember        Rule = "modify_member"
	DeleteMember        Rule = "delete_member"
	DeactivateImage     Rule = "deactivate"
	ReactivateImage     Rule = "reactivate"
	CopyFrom            Rule = "copy_from"
)

// The rules for looking at the cache and changing it. The first is of the
// calls that there were before those of the others.
const (
	ManageImageCache Rule = "manage_image_cache"
	CacheImage       Rule = "cache_image"
	CacheList        Rule = "cache_list"
	CacheDelete      Rule = "cache_delete"
)

// A Target is what a rule is asked about. Without an image or an owner it is
// about the caller's own project, as GetImages is.
type Target struct {
	Image  *Image
	Member string // project of the member record, if it is about one

	// Of a thing that is no image, such as a namespace.
	Owner      string
	Visibility Visibility
}

// A Policy decides who may do what. It is asked only about images that the
// caller can see; that invisible images do not exist is no matter of policy.
type Policy interface {
	Allows(c Caller, r Rule, t Target) bool
}

// DefaultPolicy is what holds without a policy file. An admin may do
// everything. A caller with a role in a project may do everything with the
// project's own images except publish them, and read what it can see; one
// whose only role is reader may look, but neither change nor download. An
// anonymous caller may look at images and download them.
type DefaultPolicy struct{}

// A level is how much a caller may do at all.
type level int

const (
	anonymous level = iota
	reader
	member
	admin
)

// A grant says from which level on a rule is open, and whose things it is
// open for.
type grant struct {
	from level
	own  bool // only for images of the caller's project
	self bool // only for the member record of the caller's project

	service bool // open to other services of the cloud all the same
}

var grants = map[Rule]grant{
	AddImage:            {from: member, own: true},
	GetImage:            {from: anonymous},
	GetImages:           {from: anonymous},
	ModifyImage:         {from: member, own: true},
	DeleteImage:         {from: member, own: true},
	PublicizeImage:      {from: admin},
	CommunitizeImage:    {from: member, own: true},
	UploadImage:         {from: member, own: true},
	DownloadImage:       {from: member},
	DownloadFromStore:   {from: member},
	SetImageLocation:    {from: member, own: true},
	GetImageLocation:    {from: reader, own: true},
	DeleteImageLocation: {from: admin},
	AddImageLocation:    {from: member, own: true, service: true},
	FetchImageLocation:  {from: admin, service: true},
	ServiceAPI:          {from: admin, service: true},
	AddMember:           {from: member, own: true},
	GetMember:           {from: reader, own: true, self: true},
	GetMembers:          {from: reader, own: true, self: true},
	ModifyMember:        {from: member, self: true},
	DeleteMember:        {from: member, own: true},
	DeactivateImage:     {from: member, own: true},
	ReactivateImage:     {from: member, own: true},
	CopyFrom:            {from: member},

	// Everybody may read definitions; only an admin writes them, so those
	// rules are not here.
	GetMetadefNamespace:      {from: anonymous},
	GetMetadefNamespaces:     {from: anonymous},
	ListMetadefResourceTypes: {from: anonymous},
	GetMetadefResourceType:   {from: anonymous},
	GetMetadefObject:         {from: anonymous},
	GetMetadefObjects:        {from: anonymous},
	GetMetadefProperty:       {from: anonymous},
	GetMetadefProperties:     {from: anonymous},
	GetMetadefTag:            {from: anonymous},
	GetMetadefTags:           {from: anonymous},
}

// Allows implements Policy.
func (DefaultPolicy) Allows(c Caller, r Rule, t Target) bool {
	g, known := grants[r]
	l := levelOf(c)
	if l == admin {
		return true
	}
	if l == anonymous && r == DownloadImage || g.service && slices.Contains(c.Roles, "service") {
		return true
	}
	if !known || l < g.from {
		return false
	}
	if !g.own && !g.self {
		return true
	}
	return g.own && owns(c, t.Image) || g.self && t.Member != "" && t.Member == c.ProjectID
}

// levelOf counts every role but reader as member: older deployments name
// their member role as they like.
func levelOf(c Caller) level {
	switch {
	case c.Admin:
		return admin
	case c.Anonymous:
		return anonymous
	case c.ProjectID == "":
		return reader
	}
	for _, role := range c.Roles {
		if role != "reader" {
			return member
		}
	}
	return reader
}

// owns says whether im belongs to the caller's project. An image without an
// owner belongs to nobody.
func owns(c Caller, im *Image) bool {
	return im != nil && im.Owner != nil && c.ProjectID != "" && *im.Owner == c.ProjectID
}
