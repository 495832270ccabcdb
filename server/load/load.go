package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mxtrap/configs"
	"mxtrap/server/keyring"
	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/server/transfer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

// File is a zone as it was last taken in.
type File struct {
	Path      string // of the zone file, or what stands for it
	Zone      *zone.Zone
	files     source.Files
	source    *source.Zone   // nil where nothing will have to be compiled again
	text      []byte         // of the zone file, or of the template, as it was loaded, where the zone will be made of it again
	updates   []source.RRset // that are kept of the zone
	unserved  []source.RRset // of them, those that do not go with its files
	History   zone.History
	Secondary *transfer.Secondary // nil where the zone comes from no primary
	Template  string              // of a catalog's members; "" where the zone is no catalog
	origin
	Access  *peer.Own    // who may transfer the zone, where it has a word of its own; else nil
	Hidden  bool         // answered only to clients that may transfer the zone, because it lists zones
	Down    string       // why it cannot be answered now; "" where it can
	served  state.Served // what it is served as; while it is down what it was served as last
	signs   [2]bool      // whether the zone is signed, where the server file does not say so, and where it does
	keys    []*sign.Key  // that it is signed with
	Lost    string       // why its signatures are renewed no more; "" where they are
	written uint64       // tells what stands in the files, without the trap
	list    *List        // of the DNSBL that is made here; else nil
	servers []dname.Name // of that
}

// origin is what makes there be a zone that has no file of its own.
type origin struct {
	catalog  string // the path of the catalog that lists it; "" for none
	listed   string // the path of the file that lists it; "" for none
	template string // that such a zone is made from
}

// last is what the zone is served as. Its digest is made only when it is asked for.
func (f *File) last(name string) state.Served {
	if f == nil || f.Zone.Name() != name {
		return state.Served{}
	}
	if f.Down == "" && !f.served.Known() {
		s := f.served
		s.Digest = f.Zone.Digest()
		return s
	}
	return f.served
}

// Keys are those that the zone is signed with.
func (f *File) Keys() []*sign.Key { return f.keys }

// renewed is the zone again where its files have not changed, else nil.
func (f *File) renewed() *File {
	if f == nil {
		return nil
	}
	files, changed, ok := f.files.Renewed(f.file())
	switch {
	case !ok:
		return nil
	case !changed:
		return f
	}
	again := *f
	again.files = files
	return &again
}

// Loading is the outcome of reading every zone file.
type Loading struct {
	Files    *Files
	Set      *zone.Set          // of their zones
	standing []*File            // those of the set, by its indexes
	Failed   map[string]failure // by path
	Waiting  map[string]bool    // paths that had to give way to others
	Refused  []*File            // their zones
	held     []*File            // of these, those that are not judged in this load
	catalogs []string           // paths, in order
	Unfound  bool               // which zone files there are cannot be told: a fault of the server file
	Numbers  *state.Numbering
	Report   conf.Report
}

// failure is a zone that was not taken in.
type failure struct {
	Zone string // its name, as far as it is known
	Kept bool   // its last good version goes on being served
}

// Loader is what a load depends on beside the configuration.
type Loader struct {
	Tempo    transfer.Tempo // by which copies expire
	Sources  Sources
	Look     trap.Lookups
	Progress Progress
	Quiet    bool // no warnings are kept, but for their number
	History  bool // differences between versions are kept
	Copies   *state.Copies
	Updates  *state.Updates
	Updated  bool             // updates may change zones
	arrived  *transfer.Update // of a zone, to be taken instead of the copy that there is; nil: none
	Numbers  *state.Numbering
	Waited   map[string]bool // paths that had to give way to others when zones were arranged last
	Keys     *peer.Access    // the keys of primaries are theirs
	Signs    keyring.Config
	Ring     *keyring.Ring
	Now      func() time.Time
	Built    time.Time // when the program was; zero: not known
	List     *List     // nil: no DNSBL is made
	Threads  int
	Alone    bool // nobody is answered yet
}

// Load reads all zone files, but for those that have not changed since before. What cannot be loaded keeps its last good version.
func (o Loader) Load(ctx context.Context, before *Files) *Loading {
	l := o.loading(newFiles(0))
	l.Report.Quiet = o.Quiet
	if o.Sources.path == "" {
		source := source.Parse(configs.ExampleZonePath, configs.ExampleZone, &l.Report)
		if f := o.compile(source, source.Path, nil, &l.Report); f != nil {
			l.Files.put(f)
		}
		l.stand(before, o.Waited)
		return l
	}
	all := o.Sources.files(before, &l.Report)
	if l.Report.Faults() > 0 {
		l.Unfound = true
		l.unite()
		return l
	}
	files, reports := make([]*File, len(all)), make([]*conf.Report, len(all))
	names := make([]*source.Names, len(all)) // where a file lists zones
	byName := sync.OnceValue(func() map[string]*File { return servedByName(before) })
	o.each(ctx, len(all), func(i int) {
		path, old := all[i].path, all[i].before
		known := old.renewed()
		if known != nil && o.standsAlike(known) {
			files[i] = known
			return
		}
		reports[i] = &conf.Report{Quiet: o.Quiet || known != nil}
		s := source.Load(path, reports[i])
		if s != nil && s.Names() != nil {
			names[i] = s.Names()
			return
		}
		if s != nil && old == nil && before.Len() > 0 {
			old = byName()[s.Name()]
		}
		files[i] = o.compile(s, path, old, reports[i])
	})
	l.Files = newFiles(len(all))
	listed := listedBefore(before)
	rest := pace.Rests()
	for i, z := range all {
		rest()
		if reports[i] != nil {
			l.Report.Join(reports[i])
		}
		f := files[i]
		if names[i] != nil || f == nil && len(listed[z.path]) > 0 {
			o.listedZones(ctx, l, z.path, names[i], listed[z.path], byName)
			continue
		}
		if f == nil {
			f = o.fail(l, z.path, z.before, func() *zone.Zone { return source.Unserved(z.path) })
			f = l.moved(f, byName)
		}
		if f == nil {
			continue
		}
		if l.Files.put(f); f.Template != "" {
			l.catalogs = append(l.catalogs, z.path)
		}
	}
	slices.Sort(l.catalogs)
	o.members(ctx, l, before, true)
	o.checkKeys(&l.Report)
	o.arrange(l, before)
	return l
}

// loading begins a load with what is there already.
func (o Loader) loading(files *Files) *Loading {
	return &Loading{Files: files, Failed: map[string]failure{}, Numbers: o.Numbers}
}

// unite makes the set of the zones that were loaded, in any order.
func (l *Loading) unite() {
	rest := pace.Rests()
	zones := make([]*zone.Zone, 0, l.Files.Len())
	l.standing = make([]*File, 0, l.Files.Len())
	for f := range l.Files.All() {
		rest()
		zones, l.standing = append(zones, f.Zone), append(l.standing, f)
	}
	l.Set = zone.NewSet(zones, rest)
}

// each calls do for 0 to n-1, or until the context ends: nobody has a use for the outcome then.
func (o Loader) each(ctx context.Context, n int, do func(i int)) {
	var next, done atomic.Int64
	defer o.Progress.watch(&done, n)()
	var wg sync.WaitGroup
	for range max(1, o.Threads) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
				done.Add(1)
				if !o.Alone {
					pace.Yield()
				}
			}
		})
	}
	wg.Wait()
}

// compile makes a zone ready, as the version that follows the one before.
func (o Loader) compile(source *source.Zone, path string, before *File, report *conf.Report) *File {
	if source == nil {
		return nil
	}
	own, ok := o.access(source, report)
	if !ok {
		return nil
	}
	if source.Primary() != nil {
		f := o.secondary(source, path, before, report)
		if f != nil {
			f.Access = own
		}
		return f
	}
	f := &File{Path: path, files: source.Files(), Access: own}
	if source.Listed() {
		f.template = source.Path
	}
	o.prepare(f, source)
	z := o.compileUpdated(f, source, report)
	if z == nil {
		return nil
	}
	o.serve(f, source, z, before, report)
	if kept := f.source == source || before != nil && before.source == source || report.Keeps(); !kept {
		source.Release()
	}
	return f
}

// standsAlike says whether a zone whose files have not changed would be loaded as it is. One with words of its own for transfers depends on the
// server file, and one from a primary on its copy.
func (o Loader) standsAlike(f *File) bool {
	turn := f.Zone.Rotation()
	return f.Secondary == nil && f.Access == nil && (turn == nil || !f.Due(o.now().Unix())) && o.signedAlike(f) && o.updatedAlike(f)
}

// access is who may transfer a zone, as its file says it; nil: as the server file does.
func (o Loader) access(source *source.Zone, report *conf.Report) (own *peer.Own, ok bool) {
	if source.Access() == nil {
		return nil, true
	}
	before := report.Faults()
	own = o.Keys.OwnOf(source.Access())
	return own, report.Faults() == before
}

// serve makes a version of a zone the one that is served: under its serial number, behind the version before.
func (o Loader) serve(f *File, source *source.Zone, z *zone.Zone, before *File, report *conf.Report) {
	f.written = source.Written()
	why, last := "since the last run", state.Served{}
	if before != nil {
		last = before.last(z.Name())
	}
	if last.Known() {
		if why = "files"; f.written == before.written {
			if why = "trap"; !slices.Equal(f.keys, before.keys) {
				why = "keys"
			}
		} else if f.Secondary != nil {
			why = "primary"
		} else if !sameUpdates(f.updates, before.updates) {
			why = "update"
		}
	}
	if f.Zone, f.served, last = o.Numbers.Number(z, last, why); f.served.GoesBackFrom(last) {
		report.Warn(func() conf.Problem { return goesBack(source.Path, last.Own, f.served) })
	}
	switch {
	case len(z.Lookups()) > 0, z.Plan() != nil && z.Plan().Rolls():
		f.source = source
	case z.Rotation() != nil && source.Whole(): // there may be very many
		f.keepText(source)
	case z.Rotation() != nil && f.Secondary == nil:
		f.source = source
	}
	o.follow(f, before)
}

// goesBack warns of a serial number that is lower than before.
func goesBack(path string, was uint32, now state.Served) conf.Problem {
	return conf.Problem{
		File: path, Key: "soa.serial", Text: fmt.Sprint(now.Own), Warning: true,
		Reason: fmt.Sprintf("goes back: secondaries have %d; mxtrap serves %d until the number is ahead again", was, now.Serial),
	}
}

// follow keeps how a version came to be out of the one before it, and where they are the same that one.
func (o Loader) follow(f, before *File) {
	if before == nil || before.Down != "" || before.Zone.Name() != f.Zone.Name() {
		return
	}
	if before.Zone.Same(f.Zone) {
		f.Zone, f.History = before.Zone, before.History
		return
	}
	if f.Zone.Inherit(before.Zone); o.History || f.Access != nil {
		f.History = before.History.Then(before.Zone, f.Zone)
	}
}

// Unloaded is why a zone is down whose file has faults, and that was not served before.
const Unloaded = "its file cannot be loaded"

// fail notes that a zone was not taken in, and returns what goes on being served in its place: the version before, or else one that
// says that it cannot be answered, where its name is known.
func (o Loader) fail(l *Loading, path string, old *File, unserved func() *zone.Zone) *File {
	f := failure{Zone: path, Kept: old != nil && old.Down != Unloaded}
	if !f.Kept {
		old = nil
		if z := unserved(); z != nil {
			old = &File{Path: path, Zone: z, Down: Unloaded}
		}
	}
	if old != nil {
		old, f.Zone = o.withKeys(old), old.Zone.Name()
	}
	l.Failed[path] = f
	return old
}

// Served is how many of the zones are there to be answered, now or when their primary has been heard.
func (l *Loading) Served() (n int) {
	for f := range l.Files.All() {
		if f.Down != Unloaded {
			n++
		}
	}
	return n
}

// noZone says that nothing is known to stand in.
func noZone() *zone.Zone { return nil }
