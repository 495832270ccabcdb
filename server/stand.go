package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// stand decides which of the loaded zones stand together: no two of a name, and no trap with a host in a deeper zone, which would answer
// for that host. Starts, reloads, catalogs, transfers and look-ups all ask it, and what comes out is right in every case: what is served
// stands first, so nothing goes out of service for what has come since, unless its own file has changed; then each zone is let in that goes
// together with all that stand. What is not let in falls back to its version before, and is named with the reason. They come in this order:
//
//  1. new versions of what is served;
//  2. zones that did not have to give way when this was asked last, by a server before too, and of those what was served before by its name;
//  3. zones of files, and catalogs' members after them; a file takes the place of a member of its name;
//  4. deeper zones first, then in the order of their paths.
func (l *loading) stand(before *zoneFiles, waited map[string]bool) {
	l.waiting = map[string]bool{}
	if l.unite(); !l.set.Twins() && !l.shadowed() {
		return // as nearly always
	}
	a := &arrangement{loading: l, before: before, byApex: make(map[string]*zoneFile, l.files.len()), traps: map[*zoneFile]map[string]bool{}}
	var coming []*zoneFile
	for f := range l.files.all() {
		old := before.get(f.path)
		if old != nil && old.down != unloaded {
			a.byApex[old.zone.Apex()] = old
		}
		if old != f || old.down == unloaded {
			coming = append(coming, f)
		}
	}
	slices.SortFunc(coming, func(f, g *zoneFile) int {
		return cmp.Or(
			first(f.down != unloaded, g.down != unloaded), first(a.served(f) != nil, a.served(g) != nil), first(!waited[f.path], !waited[g.path]),
			first(a.known(f), a.known(g)), first(!f.member(), !g.member()), cmp.Compare(g.zone.Labels(), f.zone.Labels()), strings.Compare(f.path, g.path),
		)
	})
	for again := true; again; {
		coming, again = a.letIn(coming)
	}
	for _, f := range coming {
		a.giveWay(f)
	}
	l.unite()
	for path := range l.waiting {
		for _, name := range a.names(path) {
			l.numbers.settle(name, l.holder(name))
		}
	}
}

// shadowed says whether a trap has a host in a deeper zone.
func (l *loading) shadowed() bool {
	for z := range l.set.Parents(rests()) {
		if len(z.Shadowed(l.set)) > 0 {
			return true
		}
	}
	return false
}

// again has those judged again that had to give way, where only some zones have changed: there may be room for them now.
func (l *loading) again(refused []*zoneFile) {
	for _, f := range refused {
		l.files.put(f)
	}
}

// renew makes zones anew that had to give way and are let in: their copies may be others by now. They are judged once more then.
func (o loader) renew(l *loading, before *zoneFiles, refused []*zoneFile) {
	renewed := false
	for _, f := range refused {
		if f.secondary == nil || l.files.get(f.path) != f {
			continue
		}
		report := conf.Report{Quiet: true}
		if again := o.compile(f.again(&report), f.path, nil, &report); again != nil {
			again.catalog, renewed = f.catalog, true
			l.files.put(again)
		}
	}
	if renewed {
		l.again(l.refused)
		l.refused = nil
		l.stand(before, o.waited)
	}
}

// giveUp has a version that had to give way not judged again.
func (l *loading) giveUp(f *zoneFile) {
	if i := slices.Index(l.refused, f); i >= 0 {
		l.refused = slices.Delete(l.refused, i, i+1)
		delete(l.waiting, f.path)
	}
}

// arrangement is the work of [loading.stand].
type arrangement struct {
	*loading
	before *zoneFiles                    // what is served
	byApex map[string]*zoneFile          // what stands
	traps  map[*zoneFile]map[string]bool // of zones that were looked at: the names below their apex in which their trap has a host
}

func (f *zoneFile) member() bool { return f.catalog != "" }

// served is what is served of a zone's path.
func (a *arrangement) served(f *zoneFile) *zoneFile {
	if old := a.before.get(f.path); old != nil && old.down != unloaded {
		return old
	}
	return nil
}

// known says whether a zone's name was served before, by a server before too.
func (a *arrangement) known(f *zoneFile) bool { return a.numbers.knows(f.zone.Name()) }

// names are the names of a path, before and now.
func (a *arrangement) names(path string) (names []string) {
	for _, f := range []*zoneFile{a.before.get(path), a.files.get(path)} {
		if f != nil {
			names = append(names, f.zone.Name())
		}
	}
	return names
}

// first orders what holds before what does not.
func first(f, g bool) int {
	switch {
	case f == g:
		return 0
	case f:
		return -1
	}
	return 1
}

// letIn lets in what goes together with all that stand, and returns the rest. Again says that a name has become free, and that some of
// those may go together now.
func (a *arrangement) letIn(coming []*zoneFile) (rest []*zoneFile, again bool) {
	for _, f := range coming {
		by, _, _ := a.conflict(f, nil)
		old := a.served(f)
		if by != nil && by.member() && !f.member() && f.down != unloaded && by.zone.Apex() == f.zone.Apex() {
			if other, _, _ := a.conflict(f, by); other == nil {
				a.refuse(by, twin(by, f))
				a.files.remove(by.path)
				by, again = nil, true
			}
		}
		if by != nil {
			rest = append(rest, f)
			continue
		}
		if old != nil {
			again = true
			if a.byApex[old.zone.Apex()] == old {
				delete(a.byApex, old.zone.Apex())
			}
		}
		a.byApex[f.zone.Apex()] = f
	}
	return rest, again && len(rest) > 0
}

// conflict is a zone that stands and does not go together with one that is to, but for one that would go, and what the operator is told
// of it. StandsIn says whether a zone that cannot be answered may stand in the place of that one.
func (a *arrangement) conflict(f, but *zoneFile) (by *zoneFile, why conf.Problem, standsIn bool) {
	stands := func(apex string) *zoneFile {
		if g := a.byApex[apex]; g != nil && g.path != f.path && g != but {
			return g
		}
		return nil
	}
	apex := f.zone.Apex()
	if g := stands(apex); g != nil {
		return g, twin(f, g), false
	}
	for above := apex; len(above) > 1; {
		above = above[1+above[0]:]
		if g := stands(above); g != nil && a.trap(g)[apex] {
			return g, conf.Problem{
				File: f.path, Key: "name", Text: f.zone.Name(), Warning: f.member(),
				Reason: fmt.Sprintf("the trap of %s has the host %s there, and is served: choose other names in its trap.names first", g.zone.Name(), g.zone.HostIn(apex)),
			}, false
		}
	}
	for name := range a.trap(f) {
		if g := stands(name); g != nil {
			return g, conf.Problem{
				File: f.path, Key: "trap.names", Text: f.zone.HostIn(name), Warning: f.member(),
				Reason: fmt.Sprintf("lies in the zone %s, which is served here too: choose other names", g.zone.Name()),
			}, true
		}
	}
	return nil, conf.Problem{}, false
}

func twin(f, by *zoneFile) conf.Problem {
	return conf.Problem{File: f.path, Key: "name", Text: f.zone.Name(), Reason: "is served by " + by.path + " already: a zone has one file", Warning: f.member()}
}

// trap are the names below a zone's apex in which its trap has a host.
func (a *arrangement) trap(f *zoneFile) map[string]bool {
	names, ok := a.traps[f]
	if !ok {
		names = f.zone.NamesOfTrap()
		a.traps[f] = names
	}
	return names
}

// refuse notes that a zone does not stand.
func (a *arrangement) refuse(f *zoneFile, why conf.Problem) {
	a.report.Add(why)
	a.waiting[f.path] = true
	a.refused = append(a.refused, f)
	a.failed[f.path] = failure{zone: f.zone.Name()}
}

// giveWay puts in the place of a zone that was not let in what is served of it, or else one that cannot be answered.
func (a *arrangement) giveWay(f *zoneFile) {
	_, why, standsIn := a.conflict(f, nil)
	if f.down == unloaded { // that is told already
		a.files.remove(f.path)
		return
	}
	a.refuse(f, why)
	if old := a.served(f); old != nil && a.byApex[old.zone.Apex()] == old {
		a.failed[f.path] = failure{zone: old.zone.Name(), kept: true}
		a.files.put(old)
		return
	}
	a.files.remove(f.path)
	if !standsIn {
		return
	}
	if z := zone.UnservedNamed(f.path, f.zone.Name()); z != nil {
		stub := &zoneFile{path: f.path, zone: z, down: unloaded, catalog: f.catalog}
		if f.secondary != nil { // the primary may have another version by now
			from := *f.secondary
			from.soa, from.lost = nil, false
			stub.secondary, stub.files, stub.template, stub.hidden, stub.down = &from, f.files, f.template, f.hidden, unfit
		}
		if by, _, _ := a.conflict(stub, nil); by == nil {
			a.byApex[z.Apex()] = stub
			a.files.put(stub)
		}
	}
}

// holder is what the zone is served as that has a name now; not known: nobody has it.
func (l *loading) holder(name string) served {
	if i, ok := l.set.Index(name); ok {
		return l.standing[i].served
	}
	return served{}
}
