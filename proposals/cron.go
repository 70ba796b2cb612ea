package proposals

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A cronField is one of the five fields of a schedule.
type cronField struct {
	name   string
	lo, hi int
	names  []string // of the values from lo on
}

// cronFields are the fields in their order. Sunday is 0 and 7.
var cronFields = [5]cronField{
	{name: "minute", lo: 0, hi: 59},
	{name: "hour", lo: 0, hi: 23},
	{name: "day of month", lo: 1, hi: 31},
	{name: "month", lo: 1, hi: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of week", lo: 0, hi: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// monthDays are the days of each month in the longest year.
var monthDays = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// A Schedule says when cron starts something.
type Schedule struct {
	minutes, hours, days, months, weekdays map[int]bool
	either                                 bool // a day of one of the two kinds will do
}

// ParseSchedule reads the five fields of cron. It accepts what every cron
// takes: *, numbers, names of months and days, ranges, lists, and steps on *
// or a range.
func ParseSchedule(s string) (Schedule, error) {
	if strings.HasPrefix(s, "@") {
		return Schedule{}, fmt.Errorf("%q is not understood by every cron", s)
	}
	fields := strings.Fields(s)
	if len(fields) != len(cronFields) {
		return Schedule{}, fmt.Errorf("%d fields instead of 5", len(fields))
	}
	var sets [5]map[int]bool
	for i, f := range cronFields {
		set, err := f.parse(fields[i])
		if err != nil {
			return Schedule{}, fmt.Errorf("%s %q: %w", f.name, fields[i], err)
		}
		sets[i] = set
	}
	// A field that begins with a star is none that was chosen, whatever step
	// it has. Only of two that were chosen one is enough.
	either := fields[2][0] != '*' && fields[4][0] != '*'
	if !either && !possible(sets[2], sets[3]) {
		return Schedule{}, fmt.Errorf("no month of %q has a day %q", fields[3], fields[2])
	}
	if sets[4][7] {
		sets[4][0] = true
	}
	return Schedule{sets[0], sets[1], sets[2], sets[3], sets[4], either}, nil
}

// longestGap is more than the years between two days that any schedule has:
// 29 February on one day of the week, across a century without.
const longestGap = 41

// Next returns the first time after t that cron starts it, by the clock of t's
// location. Where that clock is put forward, what it skips is moved behind.
func (s Schedule) Next(t time.Time) time.Time {
	year, month, day := t.Date()
	for i := range longestGap * 366 {
		d := time.Date(year, month, day+i, 12, 0, 0, 0, t.Location())
		if !s.on(d) {
			continue
		}
		for hour := range 24 {
			if !s.hours[hour] {
				continue
			}
			for minute := range 60 {
				at := time.Date(d.Year(), d.Month(), d.Day(), hour, minute, 0, 0, t.Location())
				if s.minutes[minute] && at.After(t) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

// on reports whether anything starts on a day.
func (s Schedule) on(d time.Time) bool {
	day, weekday := s.days[d.Day()], s.weekdays[int(d.Weekday())]
	return s.months[int(d.Month())] && (day && weekday || s.either && (day || weekday))
}

// possible reports whether one of the months has one of the days.
func possible(days, months map[int]bool) bool {
	for m := range months {
		for d := range days {
			if d <= monthDays[m] {
				return true
			}
		}
	}
	return false
}

func (f cronField) parse(s string) (map[int]bool, error) {
	set := map[int]bool{}
	for _, part := range strings.Split(s, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		lo, hi, err := f.span(span)
		if err != nil {
			return nil, err
		}
		step := 1
		if stepped {
			if span != "*" && !strings.Contains(span, "-") {
				return nil, fmt.Errorf("a step needs * or a range before it")
			}
			if step, err = number(stepText); err != nil {
				return nil, err
			}
			if step < 1 || step > f.hi {
				return nil, fmt.Errorf("a step is from 1 to %d", f.hi)
			}
		}
		for n := lo; n <= hi; n += step {
			set[n] = true
		}
	}
	return set, nil
}

// span reads *, a value, or a range of values.
func (f cronField) span(s string) (lo, hi int, err error) {
	if s == "*" {
		return f.lo, f.hi, nil
	}
	first, last, ranged := strings.Cut(s, "-")
	if lo, err = f.value(first); err != nil {
		return 0, 0, err
	}
	if !ranged {
		return lo, lo, nil
	}
	if hi, err = f.value(last); err != nil {
		return 0, 0, err
	}
	if hi < lo {
		return 0, 0, fmt.Errorf("the range ends before it begins")
	}
	return lo, hi, nil
}

func (f cronField) value(s string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(s, name) {
			return f.lo + i, nil
		}
	}
	n, err := number(s)
	if err != nil {
		return 0, err
	}
	if n < f.lo || n > f.hi {
		return 0, fmt.Errorf("%d is not from %d to %d", n, f.lo, f.hi)
	}
	return n, nil
}

// number reads digits and nothing else, so neither signs nor spaces.
func number(s string) (int, error) {
	if s == "" || len(s) > 4 || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return strconv.Atoi(s)
}
