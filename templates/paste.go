package templates

// Paste is what the two paste files say beside their pipelines.
type Paste struct {
	// DisableFile makes /healthcheck answer 503 while it exists, to take a
	// node out of a balancer by hand.
	DisableFile string
}

// GlanceAPIPaste returns glance-api-paste.ini: one pipeline for every flavor
// of glance-api.conf, with the names that the original gives the factories,
// so that a paste file brought along from it fits too.
func GlanceAPIPaste(p Paste) []byte {
	return text("glance-api-paste.ini.tmpl", p)
}

// GlanceRegistryPaste returns glance-registry-paste.ini.
func GlanceRegistryPaste(p Paste) []byte {
	return text("glance-registry-paste.ini.tmpl", p)
}
