package server

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/control"
)

// TestTheOperatorSeesAndActs by the socket: what a reload would only log is told, and the outcome with it.
func TestTheOperatorSeesAndActs(t *testing.T) {
	t.Parallel()
	const silent = "127.0.0.1:9"
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + "control = \"control.sock\"\nstate = \"state\"\n",
		"zones/a.toml": version(1),
		"zones/b.toml": "name = \"b.test\"\n[primary]\naddress = [\"" + silent + "\"]\n",
	})
	client, ctx := control.NewClient(filepath.Join(r.dir, "control.sock")), t.Context()
	status, err := client.Status(ctx)
	if err != nil || status.Zones != 2 || !status.Succeeded || len(status.Down) != 1 || status.Down[0].Zone != "b.test" || !slices.Equal(status.Listen, []string{r.addr}) {
		t.Errorf("%+v, %v", status, err)
	}
	z, err := client.Zone(ctx, "EXAMPLE.com.")
	if err != nil || z.Name != "example.com" || z.Serial != 1 || z.Decoys == 0 || z.Down != "" || !strings.HasSuffix(z.File, "zones/a.toml") {
		t.Errorf("%+v, %v", z, err)
	}
	if z, err := client.Zone(ctx, "b.test"); err != nil || !slices.Equal(z.Primaries, []string{silent}) || z.Down == "" || z.Confirmed != nil {
		t.Errorf("%+v, %v", z, err)
	}
	if err := client.Refresh(ctx, "b.test"); err != nil {
		t.Error(err)
	}
	reloads := func(name, want string, succeeds bool) control.Reloaded {
		t.Helper()
		out, err := client.Reload(ctx, name)
		var changes []string
		for _, c := range out.Changes {
			changes = append(changes, fmt.Sprintf("%s %d %d", c.Zone, c.Was, c.Now))
		}
		if got := strings.Join(changes, ", "); err != nil || got != want || out.Succeeded != succeeds {
			t.Errorf("reload %s: %+v, %v, want %s", name, out, err, want)
		}
		return out
	}
	r.write("zones/a.toml", version(2))
	r.write("zones/c.toml", strings.Replace(version(5), "example.com", "c.test", 1))
	reloads("example.com", "example.com 1 2", true)
	r.want("another new file", r.ask("c.test.", dns.TypeSOA), "REFUSED")
	reloads("", "c.test 0 5", true)
	r.write("zones/a.toml", "name = \"example.com\"\n[records")
	if out := reloads("example.com", "", false); len(out.Problems) != 1 || !strings.Contains(out.Problems[0], "zones/a.toml:2") {
		t.Errorf("%+v", out.Problems)
	}
	r.want("failures", r.metric(`mxtrap_zone_load_failures_total{zone="example.com"}`), "1")
	reloads("", "", false)
	reloads("c.test", "", true)
	if status, err := client.Status(ctx); err != nil || status.Succeeded || len(status.Problems) != 1 {
		t.Errorf("after a reload of another zone: %+v, %v", status, err)
	}
	for _, name := range []string{"..", ".", "/", "a b", "é"} {
		if _, err := client.Reload(ctx, name); err == nil || !strings.Contains(err.Error(), "no such zone is served") {
			t.Errorf("reload %q: %v", name, err)
		}
	}
	r.want("the last good version", fmt.Sprint(strings.Contains(r.ask("example.com.", dns.TypeSOA), " 2 ")), "true")
	r.write("zones/c.toml", "name = \"c.test\"\n[primary]\naddress = [\"127.0.0.1:1\"]\n")
	if out := reloads("", "c.test 5 0", false); len(out.Changes) != 1 || !out.Changes[0].Down {
		t.Errorf("a zone without a copy: %+v", out.Changes)
	}
	r.write("zones/a.toml", version(3))
	r.write("mxtrap.toml", "[server]\nlisten = 1")
	if out := reloads("", "", false); len(out.Problems) == 0 || !strings.Contains(strings.Join(out.Problems, "\n"), "nothing has changed") {
		t.Errorf("%+v", out.Problems)
	}
	for what, err := range map[string]error{
		"no such zone": func() error { _, err := client.Zone(ctx, "z.test"); return err }(),
		"\"example.com\": the zone comes from no primary": client.Refresh(ctx, "example.com"),
		"write debug, info, warn or error":                client.LogLevel(ctx, "loud"),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
	r.stop()
	if _, err := client.Status(ctx); err == nil || !strings.Contains(err.Error(), "no server answers at") {
		t.Error(err)
	}
}
