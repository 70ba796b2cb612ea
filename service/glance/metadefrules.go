package glance

// The rules that package metadef asks about. Their targets have the owner and
// the visibility of a namespace of definitions.
const (
	GetMetadefNamespace    Rule = "get_metadef_namespace"
	GetMetadefNamespaces   Rule = "get_metadef_namespaces"
	AddMetadefNamespace    Rule = "add_metadef_namespace"
	ModifyMetadefNamespace Rule = "modify_metadef_namespace"
	DeleteMetadefNamespace Rule = "delete_metadef_namespace"

	ListMetadefResourceTypes             Rule = "list_metadef_resource_types"
	GetMetadefResourceType               Rule = "get_metadef_resource_type"
	AddMetadefResourceTypeAssociation    Rule = "add_metadef_resource_type_association"
	RemoveMetadefResourceTypeAssociation Rule = "remove_metadef_resource_type_association"

	GetMetadefObject    Rule = "get_metadef_object"
	GetMetadefObjects   Rule = "get_metadef_objects"
	AddMetadefObject    Rule = "add_metadef_object"
	ModifyMetadefObject Rule = "modify_metadef_object"
	DeleteMetadefObject Rule = "delete_metadef_object"

	GetMetadefProperty    Rule = "get_metadef_property"
	GetMetadefProperties  Rule = "get_metadef_properties"
	AddMetadefProperty    Rule = "add_metadef_property"
	ModifyMetadefProperty Rule = "modify_metadef_property"
	RemoveMetadefProperty Rule = "remove_metadef_property"

	GetMetadefTag     Rule = "get_metadef_tag"
	GetMetadefTags    Rule = "get_metadef_tags"
	AddMetadefTag     Rule = "add_metadef_tag"
	AddMetadefTags    Rule = "add_metadef_tags"
	ModifyMetadefTag  Rule = "modify_metadef_tag"
	DeleteMetadefTag  Rule = "delete_metadef_tag"
	DeleteMetadefTags Rule = "delete_metadef_tags"
)
