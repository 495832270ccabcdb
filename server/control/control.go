// Package control is how the operator's commands talk to a running server: JSON over HTTP on a Unix socket. Who may open the socket may do all
// that it offers, so that its mode is the access control.
//
// control.go has the shapes of what is said, server.go answers, and client.go asks. The package knows nothing of zones and their loads: the
// server gives it functions to call.
package control

import (
	"time"

	"mxtrap/server/judge"
	"mxtrap/server/tap"
)

// Status is a running server.
type Status struct {
	Version   string    `json:"version"`
	Commit    string    `json:"commit"`
	Since     time.Time `json:"since"`            // when it began
	Config    string    `json:"config,omitempty"` // the path of the server file; "": it serves the example
	Listen    []string  `json:"listen"`
	Zones     int       `json:"zones"`
	Down      []Down    `json:"down"`               // zones that cannot be answered
	Unwell    []string  `json:"unwell"`             // real exchanges that the catch has found down
	Listed    *int      `json:"listed,omitempty"`   // clients in the DNSBL; none where there is none
	Reloaded  time.Time `json:"reloaded"`           // when files were read last
	Succeeded bool      `json:"reload_succeeded"`   // whether all of them could be taken in
	Problems  []string  `json:"problems,omitempty"` // of that
}

// Down is a zone that cannot be answered.
type Down struct {
	Zone string `json:"zone"`
	Why  string `json:"why"`
}

// Zone is a zone of a running server.
type Zone struct {
	Name      string     `json:"zone"`
	Serial    uint32     `json:"serial"`
	File      string     `json:"file"`
	Down      string     `json:"down,omitempty"`      // why it cannot be answered
	Primaries []string   `json:"primaries,omitempty"` // that it comes from
	Confirmed *time.Time `json:"confirmed,omitempty"` // when one was heard last
	Expires   *time.Time `json:"expires,omitempty"`   // when its copy does, if none is heard
	Signed    bool       `json:"signed"`
	Signature *time.Time `json:"signatures_until,omitempty"`
	Keys      []Key      `json:"keys,omitempty"`
	Decoys    int        `json:"decoys"`
	Covers    int        `json:"covers"`
	Exchanges []Exchange `json:"exchanges,omitempty"` // the real ones that the catch watches
	Updates   []Updated  `json:"updates,omitempty"`   // what dynamic updates have made
}

// Key is a key that a zone is signed with.
type Key struct {
	Tag       uint16 `json:"tag"`
	Algorithm string `json:"algorithm"`
	Kind      string `json:"kind"`  // CSK, KSK or ZSK
	State     string `json:"state"` // signs, published, or not in the zone
}

// Updated is an RRset that a dynamic update has made, in the place of that of the files; without records it is gone.
type Updated struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Records []string `json:"records"`
	Served  bool     `json:"served"` // it goes with the zone's files
}

// Exchange is a real exchange of a zone.
type Exchange struct {
	Host string `json:"host"`
	Up   bool   `json:"up"`
}

// Reloaded is the outcome of a reload.
type Reloaded struct {
	Succeeded bool     `json:"succeeded"` // all files could be taken in
	Changes   []Change `json:"changes"`
	Problems  []string `json:"problems"`
	Zones     int      `json:"zones"` // that are served now
	Seconds   float64  `json:"seconds"`
}

// Change is what a reload made of a zone: it is new, or can be answered again, where Was is 0, and gone, or down, where Now is.
type Change struct {
	Zone string `json:"zone"`
	Was  uint32 `json:"was,omitempty"` // serial numbers
	Now  uint32 `json:"now,omitempty"`
	Down bool   `json:"down,omitempty"` // it is answered with SERVFAIL now
}

// Top is what clients have asked for during a time. Of the queries that were too many to be looked at, only the number is known.
type Top struct {
	Seconds float64 `json:"seconds"`
	Queries uint64  `json:"queries"`
	tap.Top
}

// List is who is listed for what he did at decoys.
type List struct {
	Lists   bool          `json:"lists"` // the list is handed out; or else these would be in it
	Clients []judge.Entry `json:"clients"`
}

// Facts are what is known of a client.
type Facts struct {
	Lists     bool             `json:"lists"`
	Sightings []judge.Sighting `json:"sightings"` // the oldest first
	Visits    []judge.Visit    `json:"visits"`    // of its surroundings to real hosts
	Listing   *judge.Listing   `json:"listing"`   // null: it is not listed
}
