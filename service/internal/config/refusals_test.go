package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

// What the original has and this service does not is refused where somebody
// relies on it, is warned about where it makes a difference, and passes where it
// says what holds anyway.
func TestOptionsOfTheOriginal(t *testing.T) {
	_, err := load(t, config.API, "[DEFAULT]\nallow_additional_image_properties = False\n[cold]\nswift_store_multi_tenant = yes\n"+minimal)
	want := `CONF:2: [DEFAULT] allow_additional_image_properties: not supported: custom properties are always taken; set image_property_quota = 0 or a property_protection_file
CONF:4: [cold] swift_store_multi_tenant: not supported: all data is in the one account of the service`
	if err == nil {
		t.Error("options that are relied on: no error")
	} else if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("options that are relied on (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		text string
		want []string
	}{
		{"[DEFAULT]\nallow_additional_image_properties = True\nlocation_strategy = location_order\n[glance_store]\nswift_store_multi_tenant = False\nswift_store_auth_insecure = no\n", nil},
		{"[DEFAULT]\nenable_v1_api = True\nenable_v2_api = True\n", nil},
		{"[DEFAULT]\nenable_v2_api = False\n", []string{"CONF:2: [DEFAULT] enable_v2_api has no effect: version 2 is always served"}},
		{"[DEFAULT]\nlocation_strategy = store_type\n[taskflow_executor]\nconversion_format = raw\n[glance_store]\nswift_store_cacert = /ca\nswift_store_auth_insecure = True\n", []string{
			"CONF:2: [DEFAULT] location_strategy has no effect: data is read from the store of the highest weight",
			"CONF:4: [taskflow_executor] conversion_format has no effect: images of tasks stay as they are; [image_conversion] output_format converts those that are imported",
			"CONF:6: [glance_store] swift_store_cacert has no effect: the system's certificates are believed",
			"CONF:7: [glance_store] swift_store_auth_insecure has no effect: certificates are always checked",
		}},
	} {
		s, err := load(t, config.API, test.text+minimal)
		if err != nil {
			t.Errorf("Load of %q: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, s.Warnings); diff != "" {
			t.Errorf("Warnings of %q (-want +got):\n%s", test.text, diff)
		}
		if len(s.Ignored) != 0 {
			t.Errorf("Load of %q ignores %q", test.text, s.Ignored)
		}
	}
}
