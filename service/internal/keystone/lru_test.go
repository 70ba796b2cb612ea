package keystone

import (
	"testing"
	"time"
)

func TestLRU(t *testing.T) {
	now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	c := newLRU(3)
	put := func(k byte) { c.put(answer{key: key{k}, until: now.Add(time.Minute)}) }
	has := func(k byte) bool { _, ok := c.get(key{k}, now); return ok }
	for k := range byte(3) {
		put(k)
	}
	has(0) // used: 1 is the oldest now
	put(3)
	put(3)
	for k, want := range []bool{true, false, true, true} {
		if got := has(byte(k)); got != want {
			t.Errorf("answer %d is there = %t; want %t", k, got, want)
		}
	}
	if n := len(c.byKey); n != 3 || c.order.Len() != 3 {
		t.Errorf("cache of 3 holds %d keys and %d answers", n, c.order.Len())
	}
	if _, ok := c.get(key{0}, now.Add(time.Minute)); ok {
		t.Error("an answer held longer than it should")
	}
	if n := len(c.byKey); n != 2 {
		t.Errorf("after one expired the cache holds %d; want 2", n)
	}
}
