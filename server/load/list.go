package load

import (
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/source"
)

// ListPath stands for the file of the DNSBL that is made here.
const ListPath = "list.zone"

// List is what the DNSBL is made of.
type List struct {
	Zone    string // its name, without its final dot; "": there is none, for the list has other uses
	Clients []source.Listed
	Made    time.Time
	Serial  uint32 // the time at which these came to be; 0: they are not known yet
}

// unknownList is why a DNSBL cannot be answered as long as the sightings of the time before are read: to deny them would pardon everybody.
const unknownList = "the sightings are being read"

// list adds the DNSBL, where there is to be one: the one before, as long as nobody comes or goes.
func (o Loader) list(l *Loading, before *Files) {
	if o.List == nil || o.List.Zone == "" {
		return
	}
	apex, err := dname.Parse(o.List.Zone, dname.Root)
	if err != nil {
		return // the configuration has been checked
	}
	l.Files.remove(ListPath)
	old, servers := before.Get(ListPath), l.serversOf(apex)
	if old != nil && old.list.Zone == o.List.Zone && old.list.Serial == o.List.Serial && slices.Equal(servers, old.servers) && o.signedAlike(old) {
		l.Files.put(old)
		return
	}
	f := &File{Path: ListPath, list: o.List, servers: servers}
	source := o.clients(f, o.List.Clients, o.List.Serial)
	if o.List.Serial == 0 {
		l.Files.put(o.stub(f, source, old, unknownList))
		return
	}
	z := source.Compile(nil, &l.Report)
	if z == nil {
		if old = o.fail(l, ListPath, old, source.Stub); old != nil {
			l.Files.put(old)
		}
		return
	}
	o.serve(f, source, z, old, &l.Report)
	l.Files.put(f)
}

// clients makes a DNSBL of clients ready to be compiled.
func (o Loader) clients(f *File, clients []source.Listed, serial uint32) *source.Zone {
	apex, _ := dname.Parse(f.list.Zone, dname.Root)
	s := source.NewList(o.Sources.path, apex, f.servers, clients, serial)
	o.prepare(f, s)
	return s
}

// Clients are those that a DNSBL lists.
func (f *File) Clients() []source.Listed { return f.list.Clients }

// Made is when they were listed, or before.
func (f *File) Made() time.Time { return f.list.Made }

// Fresh is a zone of clients that are listed since a DNSBL was made; nil: it cannot be made.
func (o Loader) Fresh(f *File, clients []source.Listed) *zone.Zone {
	again := *f
	return o.clients(&again, clients, f.Zone.Serial()).Compile(nil, &conf.Report{Quiet: true})
}

// serversOf are the name servers that the zone above has for a name, by a delegation or as its own. Without such a zone there is none: mail
// hosts then ask this server because they were told to.
func (l *Loading) serversOf(apex dname.Name) (servers []dname.Name) {
	l.unite()
	for above := apex; len(above) > 1 && len(servers) == 0; above = above.Parent() {
		q := l.Set.Ask(above, dns.TypeNS)
		if q.Zone < 0 {
			break
		}
		for _, item := range append(q.Answer.Answer, q.Answer.Authority...) {
			if item.Set.Type() != dns.TypeNS {
				continue
			}
			for _, r := range q.Answer.Zone.Records(above, item.Set) {
				servers = append(servers, dname.Name(r.Data))
			}
		}
	}
	if len(servers) == 0 {
		servers = append(servers, nobody)
	}
	return servers
}

// nobody is the name server of a zone that has none.
const nobody = dname.Name("\x09localhost\x00")
