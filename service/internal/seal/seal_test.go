package seal

import (
	"errors"
	"strings"
	"testing"

	"glancectl/service/glance"
)

const sealKey = "012345678901234567890123456789ab"

func TestSeal(t *testing.T) {
	s, err := New(sealKey)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 70 {
		url := "file:///" + strings.Repeat("ü", n)
		sealed, err := s.Close(url)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Open(sealed); got != url || err != nil || strings.Contains(sealed, ":") {
			t.Fatalf("%q is sealed as %q and opened as %q, %v", url, sealed, got, err)
		}
		if again, _ := s.Close(url); again == sealed {
			t.Error("the same URL is sealed in the same way twice")
		}
	}
	// As OpenStack Glance 25.1 has written it with this key.
	const theirs = "4N2N_8zkY2fr-zwbn0J0hP5E4M2giSctQ5tn1JdNDRRSOxgUpC4il8pkdCzwANx9"
	if got, err := s.Open(theirs); got != "file:///var/lib/glance/images/x" || err != nil {
		t.Errorf("open = %q, %v", got, err)
	}
	if got, err := s.Open("swift://plain"); got != "swift://plain" || err != nil {
		t.Errorf("open of what was never sealed = %q, %v", got, err)
	}
	other, err := New("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", "x", "AAAA", theirs[:40]} {
		if got, err := s.Open(value); !errors.Is(err, ErrSealed) {
			t.Errorf("open of %q = %q, %v; want %v", value, got, err, ErrSealed)
		}
	}
	if got, err := other.Open(theirs); !errors.Is(err, ErrSealed) {
		t.Errorf("open with another key = %q, %v; want %v", got, err, ErrSealed)
	}
	for _, key := range []string{"short", strings.Repeat("x", 33)} {
		if _, err := New(key); !errors.Is(err, glance.ErrInvalid) || strings.Contains(err.Error(), key) {
			t.Errorf("a key of %d bytes: %v; want %v, without the key", len(key), err, glance.ErrInvalid)
		}
	}
}

// TestOpen reads what was sealed elsewhere, with keys of all lengths, and in
// blocks of 16 and of 64 bytes: the original uses both.
func TestOpen(t *testing.T) {
	for _, test := range []struct{ key, text, want string }{
		{"0123456789abcdef", "xPVqBuqa1RNilV19VuUS6PmejOFY8a5IkYFL0dbIY8g=", "file:///x"},
		{"0123456789abcdef", "13GrA2_iXLf-VJDcHvx5PAEfPSm4asq9q_S9Tr69vyrdQTmXnpcxmzVwguMwiWqH8WXNNVRkPGHE8fZEmHnfKLlnmHN2Sa3gb6qGp2osiYKXV9JSYaz16R9H6XQOGqmmaxu2IRmRIngTVK95Mn9EOnjxEmmbBm5rKsYqvKHk3mzlmpoHb4tHPTjD1wfrmjX9", "file:///var/lib/glance/images/7a0e2a92-1b44-4b1e-9721-c5f1fc4ea1f6"},
		{"0123456789abcdef01234567", "QzBMQ0CjgKje4-sXf-1PoAIGoZmKnmKSs7LpUhKtaIrbtQ862PAS_k6E7IInGrcOy1NO-5_W2wUXDIc746vtyJZRIqXYl6mHY2ryy6PTnjw=", "swift+https://u:p%40ss@h/c/é"},
	} {
		s, err := New(test.key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Open(test.text); got != test.want || err != nil {
			t.Errorf("Open(%s) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}
