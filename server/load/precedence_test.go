package load

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mxtrap/server/state"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// world is files and catalogs as they come and go, with what a server makes of them.
type world struct {
	t       *testing.T
	random  *rand.Rand
	texts   map[string]string // of zone files, and of members by their path; "" in a file that is broken
	made    map[*File]string
	serving *Files
	waiting map[string]bool
	refused []*File
	set     *zone.Set
	history []string
}

var (
	worldNames = []string{"example.com", "mx1.example.com", "a.mx1.example.com", "mx2.example.com", "other.test"}
	worldTraps = []string{"", "mx{n}", "a{n}.mx1", "in{n}", "x{n}.a.mx1"}
)

// text is a zone file of a name.
func (w *world) text(name string) string {
	text := "name = \"" + name + "\"\n[records]\n\"@\" = [\"NS ns.other.example.\", \"MX 10 mail\"]\nmail = [\"A 192.0.2." + fmt.Sprint(1+w.random.IntN(9)) + "\"]\n"
	if trap := worldTraps[w.random.IntN(len(worldTraps))]; trap != "" {
		text += "[trap]\nnames = \"" + trap + "\"\n"
	}
	return text
}

// told is a line of the history.
func (w *world) told(transfer string) string {
	line := "load:"
	if transfer != "" {
		line = "transfer of " + transfer + ":"
	}
	for _, path := range slices.Sorted(maps.Keys(w.texts)) {
		words := strings.Split(w.texts[path], "\"")
		if line += " " + path + "="; len(words) > 10 {
			line += words[1] + "/" + words[len(words)-2]
		}
	}
	return line
}

// load makes everything ready as [loader.load] does.
func (w *world) load(before *Files, waited map[string]bool) *Loading {
	o := Loader{Numbers: state.NewNumbering(""), Waited: waited}
	l := o.loading(newFiles(0))
	for _, path := range slices.Sorted(maps.Keys(w.texts)) {
		old := before.Get(path)
		if f := w.ready(o, path, old); f != nil {
			l.Files.put(f)
		} else if f := o.fail(l, path, old, noZone); f != nil {
			l.Files.put(f)
		}
	}
	l.stand(before, waited)
	return l
}

func (w *world) ready(o Loader, path string, old *File) *File {
	if old != nil && old.Down == "" && w.made[old] == w.texts[path] {
		return old
	}
	report := conf.Report{Quiet: true}
	f := o.compile(source.Parse(path, []byte(w.texts[path]), &report), path, old, &report)
	if f == nil {
		return nil
	}
	if strings.HasPrefix(path, "catalog") {
		f.catalog, _, _ = strings.Cut(path, " ")
	}
	w.made[f] = w.texts[path]
	return f
}

// serves is who has each name.
func serves(files *Files) map[string]string {
	names := map[string]string{}
	for f := range files.All() {
		if f.Down == "" {
			names[f.Zone.Name()] = f.Path
		}
	}
	return names
}

// check holds what must hold of whatever is served.
func (w *world) check(l *Loading) {
	w.t.Helper()
	if l.Set.Twins() {
		w.t.Fatalf("two zones of a name\n%s", strings.Join(w.history, "\n"))
	}
	if len(l.standing) != l.Files.Len() {
		w.t.Fatalf("%d zones of %d stand\n%s", len(l.standing), l.Files.Len(), strings.Join(w.history, "\n"))
	}
	for _, z := range l.Set.Zones() {
		if s := z.Shadowed(l.Set); len(s) > 0 {
			w.t.Fatalf("a host of %s lies in %s\n%s", z.Name(), l.Set.Zones()[s[0]].Name(), strings.Join(w.history, "\n"))
		}
	}
}

// step changes some of the files and has them loaded, or has a new copy come for one of them.
func (w *world) step() {
	before := maps.Clone(w.texts)
	transfer := ""
	for range 1 + w.random.IntN(3) {
		path, name := fmt.Sprintf("file%d", w.random.IntN(5)), worldNames[w.random.IntN(len(worldNames))]
		if w.random.IntN(3) == 0 {
			path = fmt.Sprintf("catalog%d (%s)", w.random.IntN(2), name)
		}
		old := w.serving.Get(path)
		switch do := w.random.IntN(10); {
		case do < 3:
			delete(w.texts, path)
		case do == 3 && !strings.HasPrefix(path, "catalog"):
			w.texts[path] = ""
		case do < 6 && old != nil && old.Down == "" && w.made[old] == w.texts[path] && transfer == "" && maps.Equal(before, w.texts):
			w.texts[path], transfer = w.text(old.Zone.Name()), path
		default:
			w.texts[path] = w.text(name)
		}
		if transfer != "" {
			break
		}
	}
	w.history = append(w.history, w.told(transfer))
	served := serves(w.serving)
	var l *Loading
	if transfer == "" {
		l = w.load(w.serving, w.waiting)
	} else {
		o := Loader{Numbers: state.NewNumbering(""), Waited: w.waiting}
		l = o.loading(w.serving.clone())
		f := w.ready(o, transfer, w.serving.Get(transfer))
		l.again(w.refused)
		l.Files.put(f)
		l.stand(w.serving, w.waiting)
		if l.Files.Get(transfer) != f {
			w.texts[transfer] = before[transfer] // the copy is not taken
			l.GiveUp(f)
		}
	}
	w.check(l)
	now := serves(l.Files)
	for name, path := range served {
		text, there := w.texts[path]
		same := there && (text == "" || text == before[path] && w.made[w.serving.Get(path)] == text)
		if same && (now[name] == "" || strings.HasPrefix(path, "file") && now[name] != path) {
			w.t.Fatalf("%s was served by %s, whose file has not changed, and is by %q\n%s", name, path, now[name], strings.Join(w.history, "\n"))
		}
	}
	w.serving, w.waiting, w.refused, w.set = l.Files, l.Waiting, l.Refused, l.Set
	if again := w.load(w.serving, w.waiting); !maps.Equal(serves(again.Files), now) {
		w.t.Fatalf("a reload without a change: %v, then %v\n%s", now, serves(again.Files), strings.Join(w.history, "\n"))
	}
	for path, text := range w.texts {
		f := l.Files.Get(path)
		if text == "" || f != nil && w.made[f] != text {
			return // a last good version is served, which no start knows
		}
	}
	again := w.load(nil, w.waiting)
	w.check(again)
	if !maps.Equal(serves(again.Files), now) {
		w.t.Fatalf("after a start %v, and %v before\n%s", serves(again.Files), now, strings.Join(w.history, "\n"))
	}
}

// TestWhicheverZonesComeTheyStandTogether: whatever comes and goes, what is served stays, and a start serves the same.
func TestWhicheverZonesComeTheyStandTogether(t *testing.T) {
	for seed := range uint64(100) {
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), texts: map[string]string{}, made: map[*File]string{}, serving: newFiles(0)}
		for range 25 {
			w.step()
		}
	}
}
