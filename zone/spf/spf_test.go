package spf

import (
	"fmt"
	"testing"
)

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts map[string][]string
		want  string
	}{
		{"the owner's own", map[string][]string{"a.test": {"v=spf1 mx -all"}}, "[{a.test mx a.test}]"},
		{"with a qualifier, a prefix, in capitals", map[string][]string{"a.test": {"V=SPF1 ?MX/24//64 ~all"}}, "[{a.test ?MX/24//64 a.test}]"},
		{"another owner's", map[string][]string{"a.test": {"v=spf1 mx:B.test./28 -all"}}, "[{a.test mx:B.test./28 b.test}]"},
		{"by include and redirect", map[string][]string{"a.test": {"v=spf1 include:i.test redirect=r.test"}, "i.test": {"v=spf1 mx:a.test"}, "r.test": {"v=spf1 mx"}}, "[{i.test mx:a.test a.test} {r.test mx r.test}]"},
		{"the domain's macro", map[string][]string{"a.test": {"v=spf1 include:_spf.%{d}"}, "_spf.a.test": {"v=spf1 mx:a.test"}}, "[{_spf.a.test mx:a.test a.test}]"},
		{"a macro of the sender's", map[string][]string{"a.test": {"v=spf1 mx:%{l}.a.test -all"}}, "[]"},
		{"behind all", map[string][]string{"a.test": {"v=spf1 -all mx"}}, "[]"},
		{"a redirect beside all", map[string][]string{"a.test": {"v=spf1 redirect=r.test all"}, "r.test": {"v=spf1 mx"}}, "[]"},
		{"a redirect before the other terms", map[string][]string{"a.test": {"v=spf1 redirect=r.test mx"}, "r.test": {"v=spf1 mx"}}, "[{a.test mx a.test} {r.test mx r.test}]"},
		{"a circle", map[string][]string{"a.test": {"v=spf1 include:a.test mx"}}, "[{a.test mx a.test}]"},
		{"other texts", map[string][]string{"a.test": {"v=spf10 mx", "spf2.0/pra mx", "mx", ""}}, "[]"},
		{"words that begin alike", map[string][]string{"a.test": {"v=spf1 mxx mx=b exists:mx -all"}}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fmt.Sprint(Follow("a.test", func(name string) []string { return c.texts[name] }).Uses); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFollowingEnds(t *testing.T) {
	asked := 0
	Follow("0.test", func(name string) []string {
		asked++
		return []string{fmt.Sprintf("v=spf1 include:%d.test", asked)}
	})
	if asked > mostRecords {
		t.Errorf("%d records are followed", asked)
	}
}

func TestFamilies(t *testing.T) {
	for text, want := range map[string][2]bool{"v=spf1 ip4:192.0.2.1 -all": {true, false}, "v=spf1 +ip6:2001:db8::/32 mx": {false, true}, "v=spf1 mx": {false, false}} {
		if r := Follow("a.test", func(string) []string { return []string{text} }); r.IPv4 != want[0] || r.IPv6 != want[1] {
			t.Errorf("%s: %+v", text, r)
		}
	}
}
