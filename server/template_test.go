package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// listing is a file that lists zones.
func listing(names ...string) string {
	return fmt.Sprintf("template = \"../mail.toml\"\nnames = [\"%s\"]\n", strings.Join(names, "\", \""))
}

const mailTemplate = `[records]
"@"  = ["NS ns1.host.test.", "MX 10 mail.host.test.", "MX 20 own"]
own  = ["A 192.0.2.25"]
[trap]
target    = "own"
addresses = ["192.0.2.26"]
`

func TestOneTemplateMakesManyZones(t *testing.T) {
	t.Parallel()
	host := "name = \"host.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.25\"]\n"
	r := start(t, map[string]string{"mail.toml": strings.Replace(mailTemplate, "MX 10 mail.host.test.", "MX 10 mail", 1), "zones/host.toml": host, "zones/hosted.toml": listing("a.test", "b.test"),
		"mxtrap.toml": serverFile + "[transfer]\nallow = [\"127.0.0.1\"]\n"})
	r.want("a zone that is listed", r.ask("a.test.", dns.TypeMX), "10 mail.a.test., 20 own.a.test., 30 mx1.a.test., 40 mx2.a.test.")
	serial := r.serial("a.test.")
	r.write("zones/hosted.toml", listing("a.test", "c.test"))
	r.reload()
	r.want("a zone that is listed now", r.ask("mx1.c.test.", dns.TypeA), "192.0.2.26")
	r.want("a zone that is listed no more", r.ask("b.test.", dns.TypeMX), "REFUSED")
	if now := r.serial("a.test."); now != serial {
		t.Errorf("serial number %d, then %d, though its template is the same", serial, now)
	}
	r.write("mail.toml", mailTemplate+"[broken")
	r.reload()
	r.want("the template is broken", r.ask("mx1.c.test.", dns.TypeA), "192.0.2.26")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
	r.write("mail.toml", strings.Replace(strings.Replace(mailTemplate, "192.0.2.26", "192.0.2.27", 1), "MX 10 mail.host.test.", "MX 10 mail", 1))
	r.write("zones/hosted.toml", "template =")
	r.reload()
	r.want("the list is broken", r.ask("mx1.c.test.", dns.TypeA), "192.0.2.26")
	r.write("names.txt", "# of customers\na.test\n\nc.test\n")
	r.write("zones/hosted.toml", "template = \"../mail.toml\"\nnames = \"../names.txt\"\n")
	r.reload()
	r.want("both are mended, and the names stand in a file of their own", r.ask("mx1.c.test.", dns.TypeA), "192.0.2.27")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "1")
	r.want("zones", r.metric("mxtrap_zones"), "3")
	os.Remove(filepath.Join(r.dir, "zones/hosted.toml"))
	r.reload()
	r.want("the list is gone", r.ask("a.test.", dns.TypeMX), "REFUSED")
	r.want("zones", r.metric("mxtrap_zones"), "1")
}

func TestWhatIsWrongWithAListOfZonesIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no template":        {"names = [\"a.test\"]", `key=template`},
		"no names":           {"template = \"../mail.toml\"", `key=names`},
		"a name twice":       {listing("a.test", "A.test."), `key=names[1] value=A.test.`},
		"no name":            {listing("a..test"), `key=names[0] value=a..test`},
		"another key":        {listing("a.test") + "name = \"a.test\"\n", `msg="unknown key`},
		"no file of names":   {"template = \"../mail.toml\"\nnames = \"none.txt\"\n", `key=names value=none.txt`},
		"a name of that":     {"template = \"../mail.toml\"\nnames = \"../names.txt\"\n", `names.txt line=2 value=b..test`},
		"no such template":   {"template = \"none.toml\"\nnames = [\"a.test\"]\n", `none.toml`},
		"a zone with a file": {listing("good.test", "a.test"), `is served by`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, map[string]string{"mail.toml": strings.Replace(mailTemplate, "MX 10 mail.host.test.", "MX 10 own", 1), "names.txt": "a.test\nb..test\n",
				"zones/good.toml": simpleZone("good.test", 1), "zones/list.toml": c.text})
			if !strings.Contains(r.log.String(), c.want) {
				t.Errorf("the log lacks %s:\n%s", c.want, r.log)
			}
			r.want("a good zone", r.ask("www.good.test.", dns.TypeA), "192.0.2.1")
		})
	}
}

// TestAZoneThatMovesToAnotherFileIsTheSameZone, without a folder of state too: its serial number does not go back, and where the new file cannot
// be loaded it is served on.
func TestAZoneThatMovesToAnotherFileIsTheSameZone(t *testing.T) {
	t.Parallel()
	template := func(n int) string {
		return fmt.Sprintf("[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\nwww = [\"A 192.0.2.%d\"]\n", n)
	}
	list := func(template string, names ...string) string {
		return strings.Replace(listing(names...), "mail.toml", template, 1)
	}
	r := start(t, map[string]string{"t1.toml": template(1), "t2.toml": template(2), "zones/l1.toml": list("t1.toml", "a.test", "b.test"), "zones/l2.toml": list("t2.toml", "c.test")})
	old := time.Now().Add(-time.Hour)
	serial := r.serial("a.test.")
	moves := func(what string, n int) {
		t.Helper()
		r.reload()
		r.want(what, r.ask("www.a.test.", dns.TypeA), fmt.Sprint("192.0.2.", n))
		now := r.serial("a.test.")
		if int32(now-serial) <= 0 {
			t.Errorf("%s: serial number %d, then %d", what, serial, now)
		}
		serial = now
	}
	os.Chtimes(filepath.Join(r.dir, "t2.toml"), old, old)
	r.write("zones/l1.toml", list("t1.toml", "b.test"))
	r.write("zones/l2.toml", list("t2.toml", "a.test", "c.test"))
	moves("to another list", 2)
	r.write("zones/l2.toml", list("t2.toml", "c.test"))
	r.write("zones/own.toml", simpleZone("a.test", 3))
	os.Chtimes(filepath.Join(r.dir, "zones/own.toml"), old, old)
	moves("to a file of its own", 3)
	os.Rename(filepath.Join(r.dir, "zones/own.toml"), filepath.Join(r.dir, "zones/moved.toml"))
	r.write("zones/moved.toml", simpleZone("a.test", 4))
	os.Chtimes(filepath.Join(r.dir, "zones/moved.toml"), old, old)
	moves("to another file of its own", 4)
	os.Remove(filepath.Join(r.dir, "zones/moved.toml"))
	r.write("zones/l1.toml", list("t1.toml", "a.test", "b.test"))
	os.Chtimes(filepath.Join(r.dir, "t1.toml"), old, old)
	moves("back to a list", 1)

	r.write("t2.toml", "broken")
	r.write("zones/l1.toml", list("t1.toml", "b.test"))
	r.write("zones/l2.toml", list("t2.toml", "a.test", "c.test"))
	r.reload()
	r.want("to a list whose template is broken", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	r.write("zones/l2.toml", list("t2.toml", "c.test"))
	r.write("zones/own.toml", simpleZone("a.test", 5)+"x = [\"A bad\"]\n")
	r.reload()
	r.want("to a broken file of its own", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	r.write("zones/own.toml", simpleZone("a.test", 5))
	moves("mended", 5)
}
