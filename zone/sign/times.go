package sign

import (
	"fmt"
	"strings"
	"time"
)

// Times are the moments at which a key begins and ceases to do something, in seconds since 1970; 0 is never. The names are those of
// BIND's key files.
type Times struct {
	Created, Publish, Activate, Inactive, Delete, SyncPublish, SyncDelete int64
}

// each are the times by their names in a key file, in its order. The first, when the key was made, changes nothing in the zone.
func (t *Times) each() []struct {
	name string
	at   *int64
} {
	return []struct {
		name string
		at   *int64
	}{
		{"Created", &t.Created}, {"Publish", &t.Publish}, {"Activate", &t.Activate}, {"Inactive", &t.Inactive}, {"Delete", &t.Delete},
		{"SyncPublish", &t.SyncPublish}, {"SyncDelete", &t.SyncDelete},
	}
}

// events are the times at which the zone changes.
func (t *Times) events() []int64 {
	return []int64{t.Publish, t.Activate, t.Inactive, t.Delete, t.SyncPublish, t.SyncDelete}
}

// none says whether no time is stated that changes a zone: such a key is published and signs for ever, as in BIND.
func (t *Times) none() bool {
	for _, at := range t.events() {
		if at != 0 {
			return false
		}
	}
	return true
}

// reached says whether a stated time has come.
func reached(at, now int64) bool { return at != 0 && at <= now }

// Published says whether the zone's DNSKEY set has the key.
func (t *Times) Published(now int64) bool {
	if t.none() {
		return true
	}
	return !reached(t.Delete, now) && (reached(t.Publish, now) || t.Publish == 0 && reached(t.Activate, now))
}

// Active says whether the key signs. When algorithms change, signatures come before the key that makes them, and go after it (RFC 6781
// 4.1.4).
func (t *Times) Active(now int64) bool {
	if t.none() {
		return true
	}
	end := t.Inactive
	if end == 0 {
		end = t.Delete
	}
	return reached(t.Activate, now) && !reached(end, now)
}

// Synced says whether CDS and CDNSKEY ask the parent to have a DS for the key (RFC 7344). A key whose file states neither time is one
// that another program made, and asks for it while it signs.
func (t *Times) Synced(now int64) bool {
	if t.SyncPublish == 0 && t.SyncDelete == 0 {
		return t.Active(now)
	}
	return t.Published(now) && reached(t.SyncPublish, now) && !reached(t.SyncDelete, now)
}

// passed counts the events up to now: each may have changed the zone.
func (t *Times) passed(now int64) (n uint32) {
	for _, at := range t.events() {
		if reached(at, now) {
			n++
		}
	}
	return n
}

// next is the first event behind now; 0: there is none.
func (t *Times) next(now int64) (at int64) {
	for _, e := range t.events() {
		if e > now && (at == 0 || e < at) {
			at = e
		}
	}
	return at
}

// timeFormat is how key files write a time, in UTC.
const timeFormat = "20060102150405"

// parseTime reads a time of a key file. BIND adds in brackets what it is in words.
func parseTime(text string) (int64, error) {
	word, _, _ := strings.Cut(text, " ")
	t, err := time.Parse(timeFormat, word)
	if err != nil {
		return 0, fmt.Errorf("%q is no time such as 20260131235959", text)
	}
	return t.Unix(), nil
}

// formatTime writes a time as key files have it.
func formatTime(at int64) string { return time.Unix(at, 0).UTC().Format(timeFormat) }
