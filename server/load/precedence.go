package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mxtrap/server/pace"
	"mxtrap/server/state"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// stand decides which of the loaded zones stand together: no two of a name, and no trap with a host in a deeper zone, which would answer
// for that host. Starts, reloads, catalogs, transfers and look-ups all ask it, and what comes out is right in every case: what is served
// stands first, so nothing goes out of service for what has come since, unless its own file has changed; then each zone is let in that goes
// together with all that stand. What is not let in falls back to its version before, and is named with the reason. They come in this order:
//
//  1. new versions of what is served;
//  2. zones that did not have to give way when this was asked last, by a server before too, and of those what was served before by its name;
//  3. zones of files of their own, then those that files list, then catalogs' members; each takes the place of a later one of its name;
//  4. deeper zones first, then in the order of their paths.
func (l *Loading) stand(before *Files, waited map[string]bool) {
	l.decide(before, waited)
	for _, f := range l.held {
		l.Waiting[f.Path] = true
		l.Refused = append(l.Refused, f)
	}
}

func (l *Loading) decide(before *Files, waited map[string]bool) {
	l.Waiting = map[string]bool{}
	if l.unite(); !l.Set.Twins() && !l.shadowed() {
		return // as nearly always
	}
	a := &arrangement{Loading: l, before: before, byApex: make(map[string]*File, l.Files.Len()), traps: map[*File]map[string]bool{}}
	var coming []*File
	for f := range l.Files.All() {
		old := before.Get(f.Path)
		if old != nil && old.Down != Unloaded {
			a.byApex[old.Zone.Apex()] = old
		}
		if old != f || old.Down == Unloaded {
			coming = append(coming, f)
		}
	}
	slices.SortFunc(coming, func(f, g *File) int {
		return cmp.Or(
			first(f.Down != Unloaded, g.Down != Unloaded), first(a.served(f) != nil, a.served(g) != nil), first(!waited[f.Path], !waited[g.Path]),
			first(a.known(f), a.known(g)), cmp.Compare(f.rank(), g.rank()), cmp.Compare(g.Zone.Labels(), f.Zone.Labels()), strings.Compare(f.Path, g.Path),
		)
	})
	for again := true; again; {
		coming, again = a.letIn(coming)
	}
	for _, f := range coming {
		a.giveWay(f)
	}
	l.unite()
	for _, f := range l.Refused {
		l.settle(f)
		if old := before.Get(f.Path); old != nil {
			l.settle(old)
		}
	}
}

// shadowed says whether a trap has a host in a deeper zone.
func (l *Loading) shadowed() bool {
	for z := range l.Set.Parents(pace.Rests()) {
		if len(z.Shadowed(l.Set)) > 0 {
			return true
		}
	}
	return false
}

// again has those judged again that had to give way, where only some zones have changed: there may be room for them now. Those of paths of which
// another version comes wait on, and are judged by the next load of all files.
func (l *Loading) again(refused []*File, but ...string) {
	for _, f := range refused {
		switch {
		case slices.Contains(l.held, f):
		case slices.Contains(but, f.Path):
			l.held = append(l.held, f)
		default:
			l.Files.put(f)
		}
	}
}

// renew makes zones anew that had to give way and are let in: their copies may be others by now. They are judged once more then.
func (o Loader) renew(l *Loading, before *Files, refused []*File) {
	renewed := false
	for _, f := range refused {
		if f.Secondary == nil || l.Files.Get(f.Path) != f {
			continue
		}
		report := conf.Report{Quiet: true}
		if again := o.compile(f.again(&report), f.Path, nil, &report); again != nil {
			again.origin, renewed = f.origin, true
			l.Files.put(again)
		}
	}
	if renewed {
		l.again(l.Refused)
		l.Refused = nil
		l.stand(before, o.Waited)
	}
}

// GiveUp has a version that had to give way not judged again.
func (l *Loading) GiveUp(f *File) {
	if i := slices.Index(l.Refused, f); i >= 0 {
		l.Refused = slices.Delete(l.Refused, i, i+1)
		delete(l.Waiting, f.Path)
	}
}

// arrangement is the work of [loading.stand].
type arrangement struct {
	*Loading
	before *Files                    // what is served
	byApex map[string]*File          // what stands
	traps  map[*File]map[string]bool // of zones that were looked at: the names below their apex in which their trap has a host
}

func (f *File) member() bool { return f.catalog != "" }

// rank orders zones of one name: that of a file of its own, that of a file which lists zones, that of a catalog.
func (f *File) rank() int {
	switch {
	case f.catalog != "":
		return 2
	case f.listed != "":
		return 1
	}
	return 0
}

// served is what is served of a zone's path.
func (a *arrangement) served(f *File) *File {
	if old := a.before.Get(f.Path); old != nil && old.Down != Unloaded {
		return old
	}
	return nil
}

// known says whether a zone's name was served before, by a server before too.
func (a *arrangement) known(f *File) bool { return a.Numbers.Knows(f.Zone.Name()) }

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
func (a *arrangement) letIn(coming []*File) (rest []*File, again bool) {
	for _, f := range coming {
		by, _, _ := a.conflict(f, nil)
		old := a.served(f)
		if by != nil && by.rank() > f.rank() && f.Down != Unloaded && by.Zone.Apex() == f.Zone.Apex() {
			if other, _, _ := a.conflict(f, by); other == nil {
				a.refuse(by, twin(by, f))
				a.Files.remove(by.Path)
				by, again = nil, true
			}
		}
		if by != nil {
			rest = append(rest, f)
			continue
		}
		if old != nil {
			again = true
			if a.byApex[old.Zone.Apex()] == old {
				delete(a.byApex, old.Zone.Apex())
			}
		}
		a.byApex[f.Zone.Apex()] = f
	}
	return rest, again && len(rest) > 0
}

// conflict is a zone that stands and does not go together with one that is to, but for one that would go, and what the operator reads
// of it. StandsIn says whether a zone that cannot be answered may stand in the place of that one.
func (a *arrangement) conflict(f, but *File) (by *File, why conf.Problem, standsIn bool) {
	stands := func(apex string) *File {
		if g := a.byApex[apex]; g != nil && g.Path != f.Path && g != but {
			return g
		}
		return nil
	}
	apex := f.Zone.Apex()
	if g := stands(apex); g != nil {
		return g, twin(f, g), false
	}
	for above := apex; len(above) > 1; {
		above = above[1+above[0]:]
		if g := stands(above); g != nil && a.trap(g)[apex] {
			return g, conf.Problem{
				File: f.Path, Key: "name", Text: f.Zone.Name(), Warning: f.member(),
				Reason: fmt.Sprintf("the trap of the served zone %s has the host %s there; change its trap.names first", g.Zone.Name(), g.Zone.HostIn(apex)),
			}, false
		}
	}
	for name := range a.trap(f) {
		if g := stands(name); g != nil {
			return g, conf.Problem{
				File: f.Path, Key: "trap.names", Text: f.Zone.HostIn(name), Warning: f.member(),
				Reason: fmt.Sprintf("lies in the zone %s, which is served here too; choose other names", g.Zone.Name()),
			}, true
		}
	}
	return nil, conf.Problem{}, false
}

func twin(f, by *File) conf.Problem {
	return conf.Problem{File: f.Path, Key: "name", Text: f.Zone.Name(), Reason: "is served by " + by.Path + " already; a zone has one file", Warning: f.member()}
}

// trap are the names below a zone's apex in which its trap has a host.
func (a *arrangement) trap(f *File) map[string]bool {
	names, ok := a.traps[f]
	if !ok {
		names = f.Zone.NamesOfTrap()
		a.traps[f] = names
	}
	return names
}

// refuse notes that a zone does not stand.
func (a *arrangement) refuse(f *File, why conf.Problem) {
	a.Report.Add(why)
	a.Waiting[f.Path] = true
	a.Refused = append(a.Refused, f)
	a.Failed[f.Path] = failure{Zone: f.Zone.Name()}
}

// giveWay puts in the place of a zone that was not let in what is served of it, or else one that cannot be answered.
func (a *arrangement) giveWay(f *File) {
	_, why, standsIn := a.conflict(f, nil)
	if f.Down == Unloaded { // the report has that already
		a.Files.remove(f.Path)
		return
	}
	a.refuse(f, why)
	if old := a.served(f); old != nil && a.byApex[old.Zone.Apex()] == old && f.Path != ListPath { // whose clients would stay for ever
		a.Failed[f.Path] = failure{Zone: old.Zone.Name(), Kept: true}
		a.Files.put(old)
		return
	}
	a.Files.remove(f.Path)
	if !standsIn {
		return
	}
	if z := source.UnservedNamed(f.Path, f.Zone.Name()); z != nil {
		stub := &File{Path: f.Path, Zone: z, Down: Unloaded, origin: f.origin}
		if f.Secondary != nil { // the primary may have another version by now
			from := *f.Secondary
			from.Soa, from.Lost = nil, false
			stub.Secondary, stub.files, stub.Template, stub.Access, stub.Hidden, stub.Down = &from, f.files, f.Template, f.Access, f.Hidden, unfit
		}
		if by, _, _ := a.conflict(stub, nil); by == nil {
			a.byApex[z.Apex()] = stub
			a.Files.put(stub)
		}
	}
}

// settle gives the name of a zone that had to give way the number of the zone that has it.
func (l *Loading) settle(f *File) { l.Numbers.Settle(f.Zone.Name(), l.holder(f.Zone.Name())) }

// holder is what the zone is served as that has a name now; not known: nobody has it.
func (l *Loading) holder(name string) state.Served {
	if i, ok := l.Set.Index(name); ok {
		return l.standing[i].served
	}
	return state.Served{}
}
