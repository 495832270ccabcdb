package page

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mxtrap/server/control"
	"mxtrap/server/judge"
)

// shown is a server with something of everything, and texts that strangers may have written.
type shown struct{}

const hostile = `"><script>alert(1)</script>`

func (shown) Overview(search string, from, most int) *Overview {
	o := &Overview{Version: "1.2.3", Since: time.Now().Add(-72 * time.Hour), Zones: 250, Found: 250, DownCount: 1, Down: []string{"down.test"}, Unwell: []string{"mail.test"}, Lists: true, Catches: true, Counts: true}
	if search != "" {
		o.Found = 0
		return o
	}
	for i := range min(most, o.Found-from) {
		o.Rows = append(o.Rows, Row{Name: "a.test", Serial: uint32(from + i), Signed: true, Real: 1, Decoys: 2, Covers: 1, Queries: 7, Down: i == 3})
	}
	return o
}

func (shown) Zone(name string) (*Zone, error) {
	if name != "a.test" {
		return nil, control.ErrNoZone
	}
	return &Zone{Counts: true, Zone: control.Zone{Name: name, Serial: 7, File: hostile, Updates: []control.Updated{{Name: "x.a.test.", Type: "TXT", Records: []string{hostile}}}}, Domains: []Domain{{"a.test", []Exchange{
		{Host: "mail.a.test", Preference: 10, Role: "primary", Addresses: []string{"192.0.2.1"}, Health: "not well"}, {Host: "mx1.a.test", Preference: 20, Role: "decoy", Lookups: 3, Sightings: 1},
	}}}}, nil
}

func (shown) Facts(client netip.Addr) (*control.Facts, error) {
	return &control.Facts{Sightings: []judge.Sighting{{Client: client, Helo: hostile, Sender: hostile, Recipients: []string{hostile}}}, Visits: []judge.Visit{{From: hostile}}}, nil
}

func (shown) Picture() *Picture {
	p := &judge.Picture{From: 1_000_000_000, Decoys: map[string][judge.PictureHours]int{"mx1.a.test": {3: 2}, "mx2.a.test": {3: 1}}, Grades: map[judge.Grade]int{judge.Deaf: 1}}
	p.Visits[4], p.Outages[5], p.Leads[0], p.Fates[0], p.Dialects[1][13] = 1, true, 2, 1, 3
	return &Picture{Picture: p, Ranks: map[string]int{"mx2.a.test": 2}, Funnel: []Step{{"MX look-ups", 9}}, Made: time.Now(), ListedAll: 1,
		Listed: []judge.Entry{{Client: netip.MustParsePrefix("2001:db8::/64"), Listing: judge.Listing{Grade: judge.Deaf, End: 1}}}}
}

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(shown{}).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestPagesShowWhatTheServerSays(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		want   []string
	}{
		{"/", 200, []string{"<h1>250 zones, 1 down</h1>", "1 to 100 of 250", `href="/zone?zone=a.test"`, "2001:db8::/64", "127.0.0.5", "at a decoy of rank 2", `from=100">Next`, "started 3 days ago", "MX look-ups: 9"}},
		{"/?from=200", 200, []string{"201 to 250 of 250", `from=100">Before`}},
		{"/?from=-5", 200, []string{"1 to 100 of 250"}},
		{"/?zone=none", 200, []string{"No zone has such a name."}},
		{"/zone?zone=a.test", 200, []string{"Mail to a.test", "mx1.a.test", "3 look-ups", "1 sighting", `class="host unwell"`, "Dynamic updates"}},
		{"/zone?zone=none.test", 404, []string{"no such zone is served"}},
		{"/client?address=2001:db8::1", 200, []string{"Not listed.", "mxtrap list pardon 2001:db8::1"}},
		{"/client?address=::ffff:192.0.2.1", 200, []string{"<h1>192.0.2.1</h1>"}},
		{"/client?address=fe80::1%25%3Bcurl+evil.test%7Csh", 200, []string{"mxtrap list pardon fe80::1<"}},
		{"/client?address=x", 422, []string{"is not an address"}},
		{"/style.css", 200, []string{"prefers-color-scheme: dark"}},
		{"/none", 404, nil},
	} {
		w := get(t, c.path)
		if w.Code != c.status {
			t.Errorf("%s: %d", c.path, w.Code)
		}
		for _, want := range c.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s lacks %q:\n%s", c.path, want, w.Body)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %q", c.path, policy)
		}
	}
}

func TestWhatStrangersWroteIsText(t *testing.T) {
	for _, path := range []string{"/zone?zone=a.test", "/client?address=192.0.2.1", "/client?address=%22%3E%3Cscript%3E", "/?zone=%22%3E%3Cscript%3E"} {
		if body := get(t, path).Body.String(); strings.Contains(body, "<script") || strings.Contains(body, " style=") || strings.Contains(body, "javascript:") {
			t.Errorf("%s:\n%s", path, body)
		}
	}
}
