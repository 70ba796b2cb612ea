package proposals

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for _, test := range []struct {
		s    string
		want time.Duration
		ok   bool
	}{
		{"0", 0, true}, {"3600", time.Hour, true}, {"90s", 90 * time.Second, true}, {"1h30m", 90 * time.Minute, true},
		{"1500ms", 0, false}, {"-1", 0, false}, {"-5m", 0, false}, {"", 0, false}, {"1.5", 0, false}, {"soon", 0, false},
		{"1d", 0, false}, {"99999999999999999999", 0, false}, {"9223372037", 0, false}, {"2000ms", 2 * time.Second, true},
	} {
		got, err := parseDuration(test.s)
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v, ok %t", test.s, got, err, test.want, test.ok)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, test := range []struct {
		s    string
		want int64
		ok   bool
	}{
		{"1", 1, true}, {"10737418240", 10 << 30, true}, {"10GiB", 10 << 30, true}, {"10 GiB", 10 << 30, true}, {"1.5kib", 1536, true},
		{"2TB", 2e12, true}, {"3MB", 3e6, true}, {"4kb", 4000, true}, {"5B", 5, true}, {"1TiB", 1 << 40, true}, {"7MiB", 7 << 20, true},
		{"0", 0, false}, {"-1", 0, false}, {"", 0, false}, {"GiB", 0, false}, {"10G", 0, false}, {"1.0001KiB", 0, false},
		{"9223372036854775807", 1<<63 - 1, true}, {"9223372036854775808", 0, false}, {"1e3", 0, false}, {"1..5KiB", 0, false},
	} {
		got, err := parseSize(test.s)
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("parseSize(%q) = %d, %v; want %d, ok %t", test.s, got, err, test.want, test.ok)
		}
	}
}

func TestParseSchedule(t *testing.T) {
	for _, test := range []struct {
		s    string
		want string // the error, "" for none
	}{
		{"1 * * * *", ""},
		{"*/5 0-23/2 1,15 jan-mar,DEC Mon-Fri", ""},
		{"0  0\t1 1 7", ""},
		{"0 0 29 2 *", ""},
		{"0 0 31 2 mon", ""},                               // a day of week makes it an "or"
		{"0 0 31 2 */2", `no month of "2" has a day "31"`}, // this is none
		{"0 0 31 2 *", `no month of "2" has a day "31"`},
		{"0 0 31 4,6,9,nov *", `no month of "4,6,9,nov" has a day "31"`},
		{"60 * * * *", `minute "60": 60 is not from 0 to 59`},
		{"* 24 * * *", `hour "24": 24 is not from 0 to 23`},
		{"* * 0 * *", `day of month "0": 0 is not from 1 to 31`},
		{"* * * 13 *", `month "13": 13 is not from 1 to 12`},
		{"* * * * 8", `day of week "8": 8 is not from 0 to 7`},
		{"5-1 * * * *", `minute "5-1": the range ends before it begins`},
		{"*/0 * * * *", `minute "*/0": a step is from 1 to 59`},
		{"*/90 * * * *", `minute "*/90": a step is from 1 to 59`},
		{"5/10 * * * *", `minute "5/10": a step needs * or a range before it`},
		{"1,,2 * * * *", `minute "1,,2": "" is not a number`},
		{"+1 * * * *", `minute "+1": "+1" is not a number`},
		{"1- * * * *", `minute "1-": "" is not a number`},
		{"jan * * * *", `minute "jan": "jan" is not a number`},
		{"? * * * *", `minute "?": "?" is not a number`},
		{"* * L * *", `day of month "L": "L" is not a number`},
		{"* * * *", "4 fields instead of 5"},
		{"* * * * * *", "6 fields instead of 5"},
		{"", "0 fields instead of 5"},
		{"@reboot", `"@reboot" is not understood by every cron`},
	} {
		got := ""
		if _, err := ParseSchedule(test.s); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("ParseSchedule(%q) = %q; want %q", test.s, got, test.want)
		}
	}
}

func TestNext(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	const form = "2006-01-02 15:04 MST"
	for _, test := range []struct {
		schedule, after, want string
		zone                  *time.Location
	}{
		{"1 * * * *", "2026-11-20 12:00 UTC", "2026-11-20 12:01 UTC", time.UTC},
		{"1 * * * *", "2026-11-20 12:01 UTC", "2026-11-20 13:01 UTC", time.UTC}, // not now again
		{"1 * * * *", "2026-12-31 23:01 UTC", "2027-01-01 00:01 UTC", time.UTC},
		{"*/5 8-10/2 * * *", "2026-11-20 08:57 UTC", "2026-11-20 10:00 UTC", time.UTC},
		{"30 4 1,15 * fri", "2026-11-20 04:30 UTC", "2026-11-27 04:30 UTC", time.UTC}, // the day or the weekday
		{"30 4 1,15 * fri", "2026-11-27 04:30 UTC", "2026-12-01 04:30 UTC", time.UTC},
		{"0 0 */2 * mon", "2026-11-20 00:00 UTC", "2026-11-23 00:00 UTC", time.UTC}, // both
		{"0 0 */2 * mon", "2026-11-23 00:00 UTC", "2026-12-07 00:00 UTC", time.UTC},
		{"0 0 * * 7", "2026-11-20 00:00 UTC", "2026-11-22 00:00 UTC", time.UTC},
		{"0 0 * feb-MAR Sun", "2026-11-20 00:00 UTC", "2027-02-07 00:00 UTC", time.UTC},
		{"0 0 29 2 *", "2096-03-01 00:00 UTC", "2104-02-29 00:00 UTC", time.UTC},
		{"0 0 29 2 */7", "2096-03-01 00:00 UTC", "2128-02-29 00:00 UTC", time.UTC}, // a Sunday
		{"0 12 * * *", "2026-11-20 10:59 UTC", "2026-11-20 12:00 CET", zurich},
		{"0 12 * * *", "2026-11-20 11:00 UTC", "2026-11-21 12:00 CET", zurich},
		{"30 3 * * *", "2026-03-28 12:00 UTC", "2026-03-29 03:30 CEST", zurich},
		{"30 2 * * *", "2026-03-28 12:00 UTC", "2026-03-29 03:30 CEST", zurich}, // there is no half past two
		{"30 2 * * *", "2026-10-25 02:00 UTC", "2026-10-26 02:30 CET", zurich},
	} {
		s, err := ParseSchedule(test.schedule)
		if err != nil {
			t.Fatal(err)
		}
		after, err := time.Parse(form, test.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Next(after.In(test.zone)).Format(form); got != test.want {
			t.Errorf("%q.Next(%s) = %s; want %s", test.schedule, test.after, got, test.want)
		}
	}
	if got := (Schedule{}).Next(time.Now()); !got.IsZero() {
		t.Errorf("Next of no schedule = %s; want none", got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"port", "bind_to_all", "workers", "verbose"}
	for _, test := range []struct{ name, want string }{
		{"prot", "port"}, {"Port", "port"}, {"bind_all", "bind_to_all"}, {"worker", "workers"}, {"colour", ""}, {"", ""},
	} {
		if got := nearest(test.name, names); got != test.want {
			t.Errorf("nearest(%q) = %q; want %q", test.name, got, test.want)
		}
	}
}
