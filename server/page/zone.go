package page

import (
	"fmt"
	"strings"

	"mxtrap/server/control"
)

// Zone is a zone with its trap.
type Zone struct {
	control.Zone
	Counts  bool // queries are counted by zone
	Queries uint64
	Domains []Domain
}

// Domain is an owner of mail addresses, and where its mail may go.
type Domain struct {
	Owner     string
	Exchanges []Exchange
}

// Exchange is a mail host of a domain.
type Exchange struct {
	Host       string
	Preference uint16
	Role       string // primary, fallback or decoy
	CoverFor   string
	Addresses  []string
	Health     string // "well", "not well", or "" where the catch does not watch it
	Lookups    uint64
	Sightings  int
}

// Trap is the drawing of a domain.
type Trap struct {
	Domain
	Height int
	Hosts  []Host
}

// Host is a mail host in the drawing.
type Host struct {
	Exchange
	Y           float64
	Class, Says string
	Note        string
}

// each is how tall a host is in the drawing.
const each = 44

// draw draws the traps of a zone: senders to the left, and the hosts in the order in which honest ones try them.
func draw(z *Zone) (traps []Trap) {
	for _, d := range z.Domains {
		t := Trap{Domain: d, Height: each*len(d.Exchanges) + 8}
		for i, e := range d.Exchanges {
			h := Host{Exchange: e, Y: float64(4 + each*i), Class: e.Role}
			if e.Health == "not well" {
				h.Class = "unwell"
			}
			var notes []string
			if e.Health != "" {
				notes = append(notes, e.Health)
			}
			if e.CoverFor != "" {
				notes = append(notes, "cover for "+e.CoverFor)
			}
			if e.Role == "decoy" && z.Counts {
				notes = append(notes, plural(int(e.Lookups), "look-up"))
			}
			if e.Role == "decoy" {
				notes = append(notes, plural(e.Sightings, "sighting"))
			}
			h.Note = strings.Join(append(e.Addresses[:min(len(e.Addresses), 2):min(len(e.Addresses), 2)], notes...), " · ")
			h.Says = fmt.Sprintf("%s, %s, preference %d", e.Host, e.Role, e.Preference)
			t.Hosts = append(t.Hosts, h)
		}
		traps = append(traps, t)
	}
	return traps
}
