package share

import (
	"cmp"
	"encoding/json"
	"strconv"

	"mxtrap/server/judge"
)

// Version is that of the data in the store. A server takes in what is of its version or before, keeps its hands off what is newer, and judges only
// where no server that is heard is newer: so servers can be upgraded one at a time.
const Version = 1

// The keys in the store, behind the prefix. All times in the store are the store's own, in seconds since 1970, so that the clocks of the servers
// need not agree.
const (
	factsKey     = "facts"     // stream: what servers have noted, an entry each: "v", "node", "fact" (JSON)
	nodesKey     = "nodes"     // hash: the servers that take part, by their ids, as JSON of node
	forgottenKey = "forgotten" // hash: the servers that the operator has said to be gone, by their ids
	hoursKey     = "hours"     // hash: the hours of which visits stand in the store, each with the id of its key
	visitsKey    = "visits:"   // and the hour: hash of visits to real hosts, by surrounding and step; it ends by itself
	healthKey    = "health:"   // and the id of a server: real exchanges that are not well there, as JSON; it ends by itself
	leaseKey     = "judge"     // string: the id of the server that judges; it ends by itself
	entriesKey   = "entries"   // hash: the list, by client, as JSON of [judge.Entry]
	listKey      = "list"      // hash: the list by client, each with its grade: rspamd's multimap reads it
	endsKey      = "ends"      // sorted set: the clients of the list by their ends
	changeKey    = "change"    // string: another one with each change of the list
	bornKey      = "born"      // string: tells this store from one that has lost all
	formatKey    = "format"    // string: the version of who began the store
)

// Lives of keys, and bounds.
const (
	visitHours  = 26      // that visits stand in the store
	listLife    = 600     // seconds that the list stands in the store without a judge
	mostFacts   = 1 << 18 // in the stream; the oldest go
	mostAtOnce  = 500     // facts that are read or written together
	mostUnwell  = 1000    // exchanges that a server tells of
	mostWaiting = 1 << 17 // facts that wait to be written
	hour        = 3600    // in seconds
	step        = 300     // seconds: visits that follow each other faster are one
	silentTold  = hour    // seconds between messages about a server that is silent
)

// node is what a server says of itself.
type node struct {
	Version int    `json:"v"`
	Name    string `json:"name"`
	Run     string `json:"run"`             // its process
	At      int64  `json:"at"`              // when it said so
	Seen    int64  `json:"seen"`            // all visits that it knows of until then are in the store
	Asked   int64  `json:"asked,omitempty"` // when a mail host told it of anybody last
	Senses  bool   `json:"senses"`          // mail hosts tell it who comes to them
}

// name is what a server is called, or else its id.
func (n node) name(id string) string { return cmp.Or(n.Name, id) }

// entry is an entry of the list as it stands in the store.
type entry = judge.Entry

// shift is a fact with its times moved by so many seconds: to the store's clock or from it.
func shift(f judge.Fact, by int64) judge.Fact {
	move := func(at int64) int64 {
		if at <= 1 { // none, or the beginning of all
			return at
		}
		return max(2, at+by)
	}
	if s := f.Sighting; s != nil {
		moved := *s
		moved.At = move(s.At)
		f.Sighting = &moved
	}
	if v := f.Visit; v != nil {
		f.Visit = &judge.Visit{At: move(v.At), From: v.From}
	}
	if o := f.Outage; o != nil {
		f.Outage = &judge.Outage{Owner: o.Owner, Node: o.Node, From: move(o.From), To: move(o.To)}
	}
	if p := f.Pardon; p != nil {
		f.Pardon = &judge.Pardon{At: move(p.At), For: p.For}
	}
	f.Asked, f.Alive = move(f.Asked), 0
	return f
}

// shiftEntry is the same of an entry of the list.
func shiftEntry(e entry, by int64) entry {
	e.From, e.End = e.From+by, e.End+by
	grounds := make([]judge.Sighting, len(e.Grounds))
	for i, s := range e.Grounds {
		s.At += by
		grounds[i] = s
	}
	e.Grounds = grounds
	return e
}

// mostGrounds is how many sightings an entry of the list has in the store.
const mostGrounds = 4

// brief is an entry with its last grounds alone.
func brief(e entry) entry {
	e.Grounds = e.Grounds[max(0, len(e.Grounds)-mostGrounds):]
	return e
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // no value here is one that JSON does not have
		return ""
	}
	return string(b)
}

// visitField is where a visit stands in the hash of its hour.
func visitField(from judge.Surrounding, at int64) string {
	return string(from) + "|" + strconv.FormatInt(at%hour/step, 10)
}

func hourOf(at int64) string { return strconv.FormatInt(at/hour, 10) }
