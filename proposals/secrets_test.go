package proposals

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const planted = "S3cr3t-V4lue"

// leaky are proposals with a mistake close to a secret: in a literal, in a
// variable, or in what a function makes of it.
var leaky = map[string]string{
	"literal before a syntax error":    "proposal \"p\" {\n  mysql \"m\" { password = \"" + planted + "\" oops\n}",
	"literal that is never closed":     "proposal \"p\" {\n  mysql \"m\" {\n password = \"" + planted + "\n}",
	"literal on the line of a mistake": role(`database "mysql" { pasword = 1 }` + "\n" + `keystone { service_password = ["` + planted + `"] }`),
	"literal with a line break":        role(`keystone { service_password = "` + planted + `\n" }`),
	"heredoc":                          role("keystone {\n service_password = <<EOT\n" + planted + "\nEOT\n }"),
	"number as a key":                  role(`backing "swift" { key = ["` + planted + `", 12] }`),
	"conditional":                      role(`keystone { service_password = true ? ["` + planted + `"] : [] }`),
	"name that says so":                "proposal \"p\" {\n  api_token = \"" + planted + "\"\n}",
	"option that says so":              role("config \"glance-api\" {\n section \"a\" {\n my_secret = { a = \"" + planted + "\" }\n }\n }"),
	"URL with a password":              role("config \"glance-api\" {\n section \"database\" {\n connection = { a = \"mysql://u:" + planted + "@h/d\" }\n }\n }"),
	"URL with a password elsewhere":    "proposal \"p\" {\n  keystone \"k\" { auth_url = \"http://admin:" + planted + "@auth:5000/v3\" }\n}",
	"default of the wrong type":        "variable \"v\" {\n  type = number\n  sensitive = true\n  default = \"" + planted + "\"\n}\nproposal \"p\" {}",
	"default before it is sensitive":   "variable \"v\" {\n  default = upr(\"" + planted + "\")\n  sensitive = true\n}\nproposal \"p\" {}",
	"sensitive in doubt":               "variable \"v\" {\n  default = \"" + planted + "\"\n  sensitive = nothing\n}\nproposal \"p\" { description = tonumber(var.v) }",
	"port":                             sensitiveVar + role(`api { port = var.s }`),
	"address":                          sensitiveVar + "proposal \"p\" {\n  node \"a\" { address = \"${var.s}!\" }\n}",
	"unknown node":                     sensitiveVar + role(`images = [var.s]`) + "proposal \"q\" {\n role \"glance-server\" { nodes = [upper(var.s)] }\n}",
	"unknown instance":                 sensitiveVar + role(`database "mysql" { instance = lower(var.s) }`),
	"schedule":                         sensitiveVar + role(`pruner { schedule = var.s }`),
	"size":                             sensitiveVar + role(`cache { max_size = var.s }`),
	"path":                             sensitiveVar + role(`pid_directory = "dir/${var.s}"`),
	"choice":                           sensitiveVar + role(`notifier_strategy = var.s`),
	"function":                         sensitiveVar + "proposal \"p\" { description = cidrhost(upper(var.s), 1) }",
	"conversion":                       sensitiveVar + "proposal \"p\" { description = tonumber(\"x${var.s}\") }",
	"file name":                        sensitiveVar + "proposal \"p\" { description = file(var.s) }",
	"environment name":                 sensitiveVar + "proposal \"p\" { description = env(var.s) }",
	"index":                            sensitiveVar + "locals { m = { a = 1 } }\nproposal \"p\" { description = local.m[var.s] }",
	"object key":                       sensitiveVar + "proposal \"p\" { description = { (var.s) = 1 }.nothing }",
	"part of it":                       sensitiveVar + "proposal \"p\" { inventory = split(\"-\", var.s)[1] }",
	"try":                              sensitiveVar + "proposal \"p\" { description = try(tonumber(var.s), file(var.s)) }",
	"through a local value":            sensitiveVar + "locals { l = \"<${var.s}>\" }\n" + role(`api { log_file = local.l }`),
	"environment in a password":        role(`keystone { service_password = "${env("SECRET")}\n" }`),
	"file in a password":               role(`keystone { service_password = file("secret.txt") }`),
	"in JSON":                          `{"proposal": {"p": {"mysql": {"m": {"admin": {"password": "` + planted + `", "usr": 1}}}, "x": [{"key": "` + planted + `"}]}}}`,
	"in broken JSON":                   `{"proposal": {"p": {"mysql": {"m": {"admin": {"password": "` + planted + `" "usr": 1}}}}}}`,
	"sensitive default in JSON":        `{"variable": {"v": {"type": "number", "default": "` + planted + `", "sensitive": true}}, "proposal": {"p": {}}}`,
}

const sensitiveVar = "variable \"s\" { sensitive = true }\n"

func role(inside string) string {
	return "proposal \"p\" {\n  node \"a\" { address = \"10.0.0.1\" }\n  role \"glance-server\" {\n    nodes = [\"a\"]\n    " + inside + "\n  }\n}\n"
}

func TestNoSecretInDiagnostics(t *testing.T) {
	for name, src := range leaky {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := "proposal.hcl"
			if strings.HasPrefix(src, "{") {
				file += ".json"
			}
			write(t, dir, "secret.txt", planted+"\n")
			path := write(t, dir, file, src)
			o := Options{Env: environment("SECRET", planted, "OS_PASSWORD", planted)}
			if strings.Contains(src, sensitiveVar) {
				o.Vars = map[string]string{"s": planted}
			}
			_, diags := Load([]string{path}, o)
			if !diags.HasErrors() {
				t.Fatal("nothing is reported; the case tests nothing")
			}
			for _, form := range forms(t, diags) {
				for _, secret := range []string{planted, strings.ToUpper(planted), strings.ToLower(planted), "V4lue"} {
					if strings.Contains(form, secret) {
						t.Errorf("%q is in what is reported:\n%s", secret, form)
					}
				}
			}
		})
	}
}

// forms returns d as text, in colour, as JSON, and as fmt prints it.
func forms(t *testing.T, d Diagnostics) []string {
	t.Helper()
	var colour bytes.Buffer
	if err := d.Write(&colour, true); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return []string{text(t, d), colour.String(), string(asJSON), fmt.Sprintf("%+v", d)}
}

func TestNoSecretFromFilesOfValues(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "p.hcl", sensitiveVar+"variable \"n\" { type = number }\nproposal \"p\" {}")
	for _, values := range []string{
		`s = "` + planted + `" oops`,
		"s = \"" + planted + "\"\nn = [\"" + planted + "\"]",
		"s = var.x ? \"" + planted + "\" : 1\nn = 1",
		"n = 1\nt = \"" + planted + "\"\ns = 1",
	} {
		_, diags := Load([]string{file}, Options{Env: environment(), VarFiles: []string{write(t, dir, "values.hcl", values)}})
		if !diags.HasErrors() {
			t.Errorf("%q: nothing is reported", values)
		}
		for _, form := range forms(t, diags) {
			if strings.Contains(form, planted) {
				t.Errorf("the value is in what is reported:\n%s", form)
			}
		}
	}
}

// TestShortSecret gives a number of three digits, too short to be masked
// wherever it stands.
func TestShortSecret(t *testing.T) {
	for _, attr := range []string{"registry { port = var.s * 1000 }", "cache { extra_to_free = var.s }", "cache { max_size = \"${var.s}x\" }", "images = [var.s]"} {
		file := write(t, t.TempDir(), "p.hcl", "variable \"s\" {\n  type = number\n  sensitive = true\n}\n"+role(attr))
		_, diags := Load([]string{file}, Options{Env: environment(), Vars: map[string]string{"s": "739"}})
		if got := text(t, diags); !diags.HasErrors() || strings.Contains(got, "739") {
			t.Errorf("%s: reported:\n%s", attr, got)
		}
	}
}

func TestSecretNeverPrintsItself(t *testing.T) {
	s := NewSecret(planted)
	asJSON, err := json.Marshal(map[string]Secret{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "d", Database{Password: s})
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%+v %#v", Database{Password: s}, Database{Password: s}),
		fmt.Sprintf("%v %s", []Secret{s}, &s), s.String(), string(asJSON), log.String(),
	} {
		if strings.Contains(got, planted) || strings.Contains(got, fmt.Sprintf("%x", planted)) {
			t.Errorf("a secret printed itself: %s", got)
		}
	}
	if s.Reveal() != planted || s.IsZero() || !NewSecret("").IsZero() {
		t.Error("Reveal or IsZero does not tell what is in it")
	}
}
