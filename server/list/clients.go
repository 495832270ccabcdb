package list

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mxtrap/server/judge"
	"mxtrap/zone/source"
)

const (
	// lastSeconds is how long before its end a listing leaves the DNSBL, in seconds: no cache has it beyond, and no secondary.
	lastSeconds = 120
	// retellSeconds is how long before its end a client that went on is told anew: a busy bot must not change the zone at each of its sessions.
	retellSeconds = 3600
	// mostDecoys is how many decoys are told of a client.
	mostDecoys = 3
)

// Entries are who is listed: by all servers that share a list, where there are some and lists says that mail hosts go by it, or else by what is known
// here. They are not ok as long as the shared list was never read.
func (k *Keeper) Entries(now int64, lists bool) (entries []judge.Entry, ok bool) {
	if k.Fleet != nil && lists {
		return k.Fleet(now)
	}
	return k.Book.Listed(now), true
}

// Clients are those that are listed now, as the DNSBL has them. They are not ok as long as it is not known who was listed before.
func (k *Keeper) Clients(now int64) (clients []source.Listed, ok bool) {
	if !k.knows() {
		return nil, false
	}
	listed, ok := k.Entries(now, true)
	if !ok {
		return nil, false
	}
	told := map[netip.Prefix]judge.Entry{}
	for _, e := range listed {
		if before, ok := k.told[e.Client]; ok && before.Grade == e.Grade && before.End > now+retellSeconds {
			e = before
		}
		if e.End > now+lastSeconds {
			told[e.Client] = e
			clients = append(clients, Client(e))
		}
	}
	k.told = told
	return clients, true
}

// Client is a listed client as the DNSBL has it.
func Client(e judge.Entry) source.Listed {
	var decoys []string
	for _, s := range slices.Backward(e.Grounds) {
		if !slices.Contains(decoys, s.Decoy) && len(decoys) < mostDecoys {
			decoys = append(decoys, s.Decoy)
		}
	}
	last := e.Grounds[len(e.Grounds)-1]
	return source.Listed{Client: e.Client, Answer: Answer(e.Grade), Text: fmt.Sprintf("%s; at %s, %s; listed until %s",
		e.Grade, strings.Join(decoys, ", "), judge.UTC(last.At), judge.UTC(e.End))}
}

// Answer is what the DNSBL says of clients that are listed on a ground (RFC 5782 2.1).
func Answer(g judge.Grade) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(g)}) }
