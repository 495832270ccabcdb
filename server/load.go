package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
	history   history      // of the zone
	secondary *secondary   // nil where the zone comes from no primary
	template  string       // of a catalog's members; "" where the zone is no catalog
	catalog   string       // the path of the catalog that lists the zone; "" for none
	hidden    bool         // only who may transfer the zone is answered, for it lists others' zones
	down      string       // why it cannot be answered now; "" where it can
	served    served       // what it is served as; while it is down what it was served as last
	written   uint64       // tells what stands in the files, without the trap
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
	set      *zone.Set // of their zones
	failed   []failure
	catalogs []string // paths, in order
	numbers  *numbering
	report   conf.Report
}

// failure is a zone that was not taken in.
type failure struct {
	path string
	zone string // its name, as far as it is known
	kept bool   // its last good version goes on being served
}

// loader is what a load depends on beside the configuration.
type loader struct {
	look     zone.Lookups
	progress Progress
	quiet    bool // no warnings are kept, but for their number
	history  bool // differences between versions are kept
	copies   *copies
	arrived  *newCopy // of a zone, to be taken instead of the copy that there is; nil: none
	numbers  *numbering
	keys     *transfers // the keys of primaries are theirs
	threads  int
}

// load reads all zone files, but for those that have not changed since before. What cannot be loaded keeps its last good version.
func (o loader) load(c *Config, before *zoneFiles) *loading {
	l := &loading{files: newZoneFiles(0), numbers: o.numbers, report: conf.Report{Quiet: o.quiet}}
	if c.Path == "" {
		source := zone.Parse(configs.ExampleZonePath, configs.ExampleZone, &l.report)
		if f := o.compile(source, nil, &l.report); f != nil {
			l.files.put(f)
		}
		l.unite()
		return l
	}
	all := c.zoneFiles(before, &l.report)
	if l.report.Faults() > 0 {
		l.keepAll(before)
		l.unite()
		return l
	}
	files, reports := make([]*zoneFile, len(all)), make([]*conf.Report, len(all))
	o.each(len(all), func(i int) {
		path, old := all[i].path, all[i].before
		known := old.renewed()
		if known != nil && known.secondary == nil {
			files[i] = known
			return
		}
		reports[i] = &conf.Report{Quiet: o.quiet || known != nil}
		files[i] = o.compile(zone.Load(path, reports[i]), old, reports[i])
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
	o.members(l, before)
	o.catalog(c, l, before)
	if l.unite(); l.set.Twins() {
		l.refuseTwins(before)
		l.unite()
	}
	l.refuseOverlaps(before)
	return l
}

// unite makes the set of the zones that were loaded, in any order.
func (l *loading) unite() {
	rest := rests()
	zones := make([]*zone.Zone, 0, l.files.len())
	for f := range l.files.all() {
		rest()
		zones = append(zones, f.zone)
	}
	l.set = zone.NewSet(zones, rest)
}

// each calls do for 0 to n-1.
func (o loader) each(n int, do func(i int)) {
	var next, done atomic.Int64
	defer o.progress.watch(&done, n)()
	var wg sync.WaitGroup
	for range max(1, o.threads) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
				done.Add(1)
				yield()
			}
		})
	}
	wg.Wait()
}

// compile makes a zone ready, as the version that follows the one before.
func (o loader) compile(source *zone.Source, before *zoneFile, report *conf.Report) *zoneFile {
	if source == nil {
		return nil
	}
	if source.Primary() != nil {
		return o.secondary(source, before, report)
	}
	z := source.Compile(o.look, report)
	if z == nil {
		return nil
	}
	f := &zoneFile{path: source.Path, files: source.Files()}
	o.serve(f, source, z, before, report)
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
		f.history = before.history.then(before.zone, f.zone)
	}
}

// unloaded is why a zone is down whose file has faults, and that was not served before.
const unloaded = "its file cannot be loaded"

// fail notes that a zone was not taken in, and returns what goes on being served in its place: the version before, or else one that
// says that it cannot be answered, where its name is known.
func (l *loading) fail(path string, old *zoneFile, unserved func() *zone.Zone) *zoneFile {
	f := failure{path: path, zone: path, kept: old != nil && old.down != unloaded}
	if !f.kept {
		old = nil
		if z := unserved(); z != nil {
			old = &zoneFile{path: path, zone: z, down: unloaded}
		}
	}
	if old != nil {
		f.zone = old.zone.Name()
	}
	l.failed = append(l.failed, f)
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

func (l *loading) keepAll(before *zoneFiles) {
	for old := range before.all() {
		l.files.put(l.fail(old.path, old, noZone))
	}
}

// refuseTwins lets one file only serve a name: the one that did before, or else the first; a catalog's member gives way to any file.
func (l *loading) refuseTwins(before *zoneFiles) {
	byName := map[string][]string{}
	for f := range l.files.all() {
		byName[f.zone.Name()] = append(byName[f.zone.Name()], f.path)
	}
	for name, paths := range byName {
		if len(paths) == 1 {
			continue
		}
		rank := func(path string) int {
			old := before.get(path)
			switch {
			case l.files.get(path).down == unloaded:
				return 3
			case l.files.get(path).catalog != "":
				return 2
			case old == nil || old.zone.Name() != name:
				return 1
			}
			return 0
		}
		slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) })
		for _, path := range paths[1:] {
			l.report.Add(conf.Problem{File: path, Key: "name", Text: name, Reason: "is served by " + paths[0] + " already: a zone has one file", Warning: l.files.get(path).catalog != ""})
			l.files.remove(path)
			// What this file served before, under another name, goes on, unless another file has that name now.
			old := before.get(path)
			if old != nil && l.files.named(old.zone.Name()) != nil {
				old = nil
			}
			if old = l.fail(path, old, noZone); old != nil {
				l.files.put(old)
			}
		}
	}
}

// overlapRounds bounds how often overlaps are looked for again, for what is served on in the place of another may overlap too.
const overlapRounds = 10

// refuseOverlaps lets no trap have hosts that lie in another zone which is served here: they would never be answered.
func (l *loading) refuseOverlaps(before *zoneFiles) {
	for range overlapRounds {
		parents := l.set.Parents(rests())
		refused := false
		for f := range l.files.all() {
			if !parents[f.zone] || l.files.get(f.path) != f {
				continue
			}
			host, by := f.zone.Shadowed(l.set)
			if host == "" {
				continue
			}
			refused = true
			if deeper := l.files.named(by); deeper != nil && deeper.givesWay(f, before) {
				l.replace(deeper, before, conf.Problem{
					File: deeper.path, Key: "name", Text: by, Warning: deeper.catalog != "",
					Reason: fmt.Sprintf("the trap of %s has the host %s there, and is served: choose other names in its trap.names first", f.zone.Name(), host),
				})
				continue
			}
			l.replace(f, before, conf.Problem{File: f.path, Key: "trap.names", Text: host, Reason: fmt.Sprintf("lies in the zone %s, which is served here too: choose other names", by)})
		}
		if !refused {
			return
		}
		l.unite()
	}
}

// givesWay says whether a zone below a trapped one is refused, and not the trapped one: what is served stays, and the operator's files go
// before a catalog and before what cannot be loaded.
func (f *zoneFile) givesWay(trapped *zoneFile, before *zoneFiles) bool {
	old := before.get(f.path)
	isNew := old == nil || old.down == unloaded || old.zone.Name() != f.zone.Name()
	return f.down == unloaded || f.catalog != "" && trapped.catalog == "" || isNew && before.get(trapped.path) == trapped
}

// replace puts what was served before in the place of a zone that is refused.
func (l *loading) replace(f *zoneFile, before *zoneFiles, why conf.Problem) {
	l.report.Add(why)
	l.files.remove(f.path)
	old := before.get(f.path)
	if old == f {
		old = nil
	}
	if stands := l.fail(f.path, old, func() *zone.Zone { return zone.Unserved(f.path) }); stands != nil && f.down != unloaded {
		l.files.put(stands)
	}
}
