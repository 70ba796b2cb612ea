package proposals

import (
	"fmt"
	"strconv"
	"strings"
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

// checkCron returns what is wrong with a schedule, or nil. It accepts what
// every cron takes: five fields of *, numbers, names of months and days,
// ranges, lists, and steps on * or a range.
func checkCron(s string) error {
	if strings.HasPrefix(s, "@") {
		return fmt.Errorf("%q is not understood by every cron", s)
	}
	fields := strings.Fields(s)
	if len(fields) != len(cronFields) {
		return fmt.Errorf("%d fields instead of 5", len(fields))
	}
	var sets [5]map[int]bool
	for i, f := range cronFields {
		set, err := f.parse(fields[i])
		if err != nil {
			return fmt.Errorf("%s %q: %w", f.name, fields[i], err)
		}
		sets[i] = set
	}
	if fields[4] == "*" && !possible(sets[2], sets[3]) {
		return fmt.Errorf("no month of %q has a day %q", fields[3], fields[2])
	}
	return nil
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
