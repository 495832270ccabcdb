package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"mxtrap/configs"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// zoneFile is a zone as it was last taken in.
type zoneFile struct {
	path      string // of the zone file, or what stands for it
	zone      *zone.Zone
	files     zone.Files
	source    *zone.Source // nil where nothing will have to be compiled again
	history   zone.History
	secondary *secondary // nil where the zone comes from no primary
	template  string     // of a catalog's members; "" where the zone is no catalog
	catalog   string     // the path of the catalog that lists the zone; "" for none
	hidden    bool       // only who may transfer the zone is answered, for it lists others' zones
	down      string     // why it cannot be answered now; "" where it can
	served    served     // what it is served as; while it is down what it was served as last
	written   uint64     // tells what stands in the files, without the trap
}

// last is what the zone is served as. Its digest is made only when it is asked for.
func (f *zoneFile) last(name string) served {
	if f == nil || f.zone.Name() != name {
		return served{}
	}
	if f.down == "" && !f.served.known() {
		s := f.served
		s.digest = f.zone.Digest()
		return s
	}
	return f.served
}

// renewed is the zone again where its files have not changed, else nil.
func (f *zoneFile) renewed() *zoneFile {
	if f == nil {
		return nil
	}
	files, changed, ok := f.files.Renewed(f.path)
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

// loading is the outcome of reading every zone file.
type loading struct {
	files    *zoneFiles
	set      *zone.Set          // of their zones
	standing []*zoneFile        // those of the set, by its indexes
	failed   map[string]failure // by path
	waiting  map[string]bool    // paths that had to give way to others
	refused  []*zoneFile        // their zones
	catalogs []string           // paths, in order
	unfound  bool               // which zone files there are cannot be told: a fault of the server file
	numbers  *numbering
	report   conf.Report
}

// failure is a zone that was not taken in.
type failure struct {
	zone string // its name, as far as it is known
	kept bool   // its last good version goes on being served
}

// loader is what a load depends on beside the configuration.
type loader struct {
	sources  sources
	look     zone.Lookups
	progress Progress
	quiet    bool // no warnings are kept, but for their number
	history  bool // differences between versions are kept
	copies   *copies
	arrived  *newCopy // of a zone, to be taken instead of the copy that there is; nil: none
	numbers  *numbering
	waited   map[string]bool // paths that had to give way to others when zones were arranged last
	keys     *transfers      // the keys of primaries are theirs
	threads  int
	alone    bool // nobody is answered yet
}

// load reads all zone files, but for those that have not changed since before. What cannot be loaded keeps its last good version.
func (o loader) load(ctx context.Context, before *zoneFiles) *loading {
	l := o.loading(newZoneFiles(0))
	l.report.Quiet = o.quiet
	if o.sources.path == "" {
		source := zone.Parse(configs.ExampleZonePath, configs.ExampleZone, &l.report)
		if f := o.compile(source, source.Path, nil, &l.report); f != nil {
			l.files.put(f)
		}
		l.stand(before, o.waited)
		return l
	}
	all := o.sources.files(before, &l.report)
	if l.report.Faults() > 0 {
		l.unfound = true
		l.unite()
		return l
	}
	files, reports := make([]*zoneFile, len(all)), make([]*conf.Report, len(all))
	o.each(ctx, len(all), func(i int) {
		path, old := all[i].path, all[i].before
		known := old.renewed()
		if known != nil && known.secondary == nil {
			files[i] = known
			return
		}
		reports[i] = &conf.Report{Quiet: o.quiet || known != nil}
		files[i] = o.compile(zone.Load(path, reports[i]), path, old, reports[i])
	})
	l.files = newZoneFiles(len(all))
	rest := rests()
	for i, z := range all {
		rest()
		if reports[i] != nil {
			l.report.Join(reports[i])
		}
		f := files[i]
		if f == nil {
			f = l.fail(z.path, z.before, func() *zone.Zone { return zone.Unserved(z.path) })
		}
		if f == nil {
			continue
		}
		if l.files.put(f); f.template != "" {
			l.catalogs = append(l.catalogs, z.path)
		}
	}
	slices.Sort(l.catalogs)
	o.members(ctx, l, before, true)
	o.arrange(l, before)
	return l
}

// loading begins a load with what is there already.
func (o loader) loading(files *zoneFiles) *loading {
	return &loading{files: files, failed: map[string]failure{}, numbers: o.numbers}
}

// unite makes the set of the zones that were loaded, in any order.
func (l *loading) unite() {
	rest := rests()
	zones := make([]*zone.Zone, 0, l.files.len())
	l.standing = make([]*zoneFile, 0, l.files.len())
	for f := range l.files.all() {
		rest()
		zones, l.standing = append(zones, f.zone), append(l.standing, f)
	}
	l.set = zone.NewSet(zones, rest)
}

// each calls do for 0 to n-1, or until the context ends: nobody has a use for the outcome then.
func (o loader) each(ctx context.Context, n int, do func(i int)) {
	var next, done atomic.Int64
	defer o.progress.watch(&done, n)()
	var wg sync.WaitGroup
	for range max(1, o.threads) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
				done.Add(1)
				if !o.alone {
					yield()
				}
			}
		})
	}
	wg.Wait()
}

// compile makes a zone ready, as the version that follows the one before.
func (o loader) compile(source *zone.Source, path string, before *zoneFile, report *conf.Report) *zoneFile {
	if source == nil {
		return nil
	}
	if source.Primary() != nil {
		return o.secondary(source, path, before, report)
	}
	z := source.Compile(o.look, report)
	if z == nil {
		return nil
	}
	f := &zoneFile{path: path, files: source.Files()}
	if o.serve(f, source, z, before, report); f.source == nil && !report.Keeps() {
		source.Release()
	}
	return f
}

// serve makes a version of a zone the one that is served: under its serial number, behind the version before.
func (o loader) serve(f *zoneFile, source *zone.Source, z *zone.Zone, before *zoneFile, report *conf.Report) {
	f.written = source.Written()
	why := "since the last run"
	last := before.last(z.Name())
	if last.known() {
		if why = "files"; f.written == before.written {
			why = "trap"
		} else if f.secondary != nil {
			why = "primary"
		}
	}
	if f.zone, f.served, last = o.numbers.number(z, last, why); f.served.goesBackFrom(last) {
		report.Warn(func() conf.Problem { return goesBack(source.Path, last.own, f.served) })
	}
	if len(z.Lookups()) > 0 {
		f.source = source
	}
	o.follow(f, before)
}

// goesBack tells of a serial number that is lower than before.
func goesBack(path string, was uint32, now served) conf.Problem {
	return conf.Problem{
		File: path, Key: "soa.serial", Text: fmt.Sprint(now.own), Warning: true,
		Reason: fmt.Sprintf("goes back: it was %d, and secondaries have that; %d is served until it is ahead again", was, now.serial),
	}
}

// follow keeps how a version came to be out of the one before it, and where they are the same that one.
func (o loader) follow(f, before *zoneFile) {
	if before == nil || before.down != "" || before.zone.Name() != f.zone.Name() {
		return
	}
	if before.zone.Same(f.zone) {
		f.zone, f.history = before.zone, before.history
	} else if o.history {
		f.history = before.history.Then(before.zone, f.zone)
	}
}

// unloaded is why a zone is down whose file has faults, and that was not served before.
const unloaded = "its file cannot be loaded"

// fail notes that a zone was not taken in, and returns what goes on being served in its place: the version before, or else one that
// says that it cannot be answered, where its name is known.
func (l *loading) fail(path string, old *zoneFile, unserved func() *zone.Zone) *zoneFile {
	f := failure{zone: path, kept: old != nil && old.down != unloaded}
	if !f.kept {
		old = nil
		if z := unserved(); z != nil {
			old = &zoneFile{path: path, zone: z, down: unloaded}
		}
	}
	if old != nil {
		f.zone = old.zone.Name()
	}
	l.failed[path] = f
	return old
}

// served is how many of the zones are there to be answered, now or when their primary has been heard.
func (l *loading) served() (n int) {
	for f := range l.files.all() {
		if f.down != unloaded {
			n++
		}
	}
	return n
}

// noZone says that nothing is known to stand in.
func noZone() *zone.Zone { return nil }
