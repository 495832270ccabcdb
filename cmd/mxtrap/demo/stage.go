package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server"
	"mxtrap/server/answer"
	"mxtrap/server/health"
	"mxtrap/server/load"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/mail"
)

// Names of the story.
const (
	domain  = "example.com"
	dnsbl   = "bl.example.com"
	unknown = "unknown" // who has no name that leads back, as Postfix says it
)

// zones are the files that are served. Honest senders have names that lead back to them, and SPF; bots have neither.
var zones = map[string]string{
	"example.com": `name = "example.com"
[records]
"@"    = ["NS ns1", "MX 10 mail", "MX 20 backup"]
ns1    = ["A 127.0.1.53"]
mail   = ["A 127.0.1.25"]
backup = ["A 127.0.1.7"]
[trap]
count     = 2
addresses = ["127.0.1.26", "127.0.1.27"]
`,
	"127.in-addr.arpa": `name = "127.in-addr.arpa"
[records]
"@"     = ["NS ns1.example.com."]
"1.2.0" = ["PTR mail1.news.test."]
"2.2.0" = ["PTR mail2.news.test."]
"1.3.0" = ["PTR mail.shop.test."]
"9.40.0" = ["PTR out.shop.test."]
"1.5.0" = ["PTR out1.large.test."]
"2.6.0" = ["PTR out2.large.test."]
`,
	"test": `name = "test"
[records]
"@"          = ["NS ns1.example.com."]
news         = ["TXT \"v=spf1 ip4:127.0.2.0/24 -all\""]
"mail1.news" = ["A 127.0.2.1"]
"mail2.news" = ["A 127.0.2.2"]
shop         = ["TXT \"v=spf1 ip4:127.0.3.1 ip4:127.0.40.9 -all\""]
"mail.shop"  = ["A 127.0.3.1"]
"out.shop"   = ["A 127.0.40.9"]
large        = ["TXT \"v=spf1 ip4:127.0.5.0/24 ip4:127.0.6.0/24 -all\""]
"out1.large" = ["A 127.0.5.1"]
"out2.large" = ["A 127.0.6.2"]
offers       = ["TXT \"v=spf1 -all\""]
`,
}

// names are those that lead back to clients.
var names = map[netip.Addr]string{
	address(2, 1): "mail1.news.test", address(2, 2): "mail2.news.test", address(3, 1): "mail.shop.test", address(40, 9): "out.shop.test",
	address(5, 1): "out1.large.test", address(6, 2): "out2.large.test",
}

// nameOf is the name that leads back to a client.
func nameOf(client netip.Addr) string { return cmp.Or(names[client], unknown) }

// stage is what the story is played on.
type stage struct {
	out    io.Writer
	factor time.Duration // how much faster than a real one its clock runs
	began  time.Time     // when its clock began to run
	start  time.Time     // when the story began

	ctx    context.Context
	stop   func()
	done   chan error // of the server; nil: it does not run
	folder string
	dns    string
	mail   uint16
	domain *mail.Domain
	hosts  []*host

	mu   sync.Mutex
	deaf error                 // why nobody hears the story any more
	ever map[netip.Addr]string // what each client was listed as
}

// newStage starts the server and the real hosts, and waits until these count as well.
func newStage(parent context.Context, factor time.Duration, out io.Writer) (s *stage, err error) {
	s = &stage{out: out, factor: factor, began: time.Now(), ever: map[netip.Addr]string{}}
	s.ctx, s.stop = context.WithCancel(parent)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.folder, err = os.MkdirTemp("", "mxtrap-demo-"); err != nil {
		return s, err
	}
	policy, err := s.configure()
	if err != nil {
		return s, fmt.Errorf("the demonstration needs addresses of 127.0.0.0/8, all of which Linux has: %w", err)
	}
	for _, a := range []netip.Addr{address(1, 25), address(1, 7)} {
		h := &host{addr: netip.AddrPortFrom(a, s.mail), policy: policy, listed: func(a netip.Addr) bool { return s.listedAs(a) != "" }}
		h.greyish = address(5, 1) // the large sender's
		if err = h.up(); err != nil {
			return s, err
		}
		s.hosts = append(s.hosts, h)
	}
	var report conf.Report
	config := server.ReadConfig(filepath.Join(s.folder, "mxtrap.toml"), &report)
	if config == nil {
		return s, fmt.Errorf("%v", report.Problems())
	}
	ready := make(chan struct{})
	running, err := server.New(s.ctx, config, server.Options{
		Log: slog.New(slog.DiscardHandler), Clock: s.now, Judge: 100 * time.Millisecond, MailPort: s.mail,
		Health: health.Tempo{Every: 100 * time.Millisecond, Settle: 300 * time.Millisecond, Look: 20 * time.Millisecond},
		Notify: func(e server.Event) {
			if e == server.Ready {
				close(ready)
			}
		},
	})
	if err != nil {
		return s, err
	}
	s.done = make(chan error, 1)
	go func() { s.done <- running.Run(s.ctx, nil) }()
	select {
	case err = <-s.done:
		s.done <- err
		return s, cmp.Or(err, s.ctx.Err())
	case <-ready:
	}
	set := zone.NewSet(server.Inspect(s.ctx, config, false, load.Progress{}).Zones, func() {})
	if s.ctx.Err() != nil {
		return s, s.ctx.Err()
	}
	domains, err := mail.Domains(set.Named(domain), answer.NewAsker(set.Zones()).Ask, nil)
	if err != nil {
		return s, err
	}
	s.domain = domains[0]
	return s, s.settled()
}

// configure writes the files of the server, with ports that are free.
func (s *stage) configure() (policy string, err error) {
	free := func(a netip.Addr) uint16 {
		l, e := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
		if e != nil {
			err = e
			return 0
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	s.mail = free(address(1, 27))
	s.dns = netip.AddrPortFrom(address(1, 53), free(address(1, 53))).String()
	policy = netip.AddrPortFrom(address(1, 53), free(address(1, 53))).String()
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf(`[server]
listen   = [%q]
metrics  = ""
zones    = ["*.zone.toml"]
state    = "state"
resolver = [%q]
[catch]
listen = ["decoys:%d"]
pause  = "100ms"
[list]
mode   = "list"
zone   = %q
policy = %q
`, s.dns, s.dns, s.mail, dnsbl, policy)
	if err = os.WriteFile(filepath.Join(s.folder, "mxtrap.toml"), []byte(text), 0o600); err != nil {
		return "", err
	}
	for name, text := range zones {
		if err = os.WriteFile(filepath.Join(s.folder, name+".zone.toml"), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return policy, nil
}

// close ends everything, and leaves nothing behind.
func (s *stage) close() {
	s.stop()
	for _, h := range s.hosts {
		h.down()
	}
	if s.done != nil {
		<-s.done
	}
	os.RemoveAll(s.folder)
}

// now is the time of the story.
func (s *stage) now() time.Time { return s.began.Add(time.Since(s.began) * s.factor) }

// until waits for a time of the story, and says whether it goes on.
func (s *stage) until(at time.Duration) bool {
	select {
	case <-s.ctx.Done():
		return false
	case <-time.After(at/s.factor - time.Since(s.start)):
		return true
	}
}

// settled waits until the decoys greet, and begins the story then.
func (s *stage) settled() error {
	for until := time.Now().Add(sessionTime); time.Now().Before(until) && s.ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", netip.AddrPortFrom(address(1, 27), s.mail).String())
		if err != nil {
			continue
		}
		conn.SetDeadline(time.Now().Add(sessionTime))
		greeting := make([]byte, 3)
		io.ReadFull(conn, greeting)
		conn.Close()
		if string(greeting) == "220" {
			s.start = time.Now()
			return nil
		}
	}
	return cmp.Or(s.ctx.Err(), errors.New("the catch does not greet"))
}

// tell says what happens, and when.
func (s *stage) tell(format string, values ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintf(s.out, format+"\n", values...); err != nil {
		s.deaf = err
		s.stop()
	}
}

// event is tell with the time of the story.
func (s *stage) event(format string, values ...any) {
	minutes := int((time.Since(s.start) * s.factor).Minutes())
	s.tell("+%d:%02d   "+format, append([]any{minutes / 60, minutes % 60}, values...)...)
}

// sends has senders try to deliver a message each.
func (s *stage) sends(list ...*sender) {
	for _, a := range list {
		a.send(s.domain, s.mail, func(e mail.Exchange, what string) {
			s.event("%s (%s) at %s, a %s: %s", a.what, a.from, strings.TrimSuffix(e.Host, "."+domain), e.Role, what)
		})
	}
}

// sendsTo is sends for a bot that chooses otherwise for once.
func (s *stage) sendsTo(bot *sender, kind string) {
	as := bot.choose
	defer func() { bot.choose = as }()
	bot.choose = chooser(kind)
	s.sends(bot)
}

// outage takes the real hosts down, or has them come back.
func (s *stage) outage(down bool) {
	for _, h := range s.hosts {
		if down {
			h.down()
		} else if err := h.up(); err != nil {
			s.event("%v", err)
		}
	}
}

// listedAs is the DNSBL's answer for a client; "": it is not listed.
func (s *stage) listedAs(client netip.Addr) string {
	reply := s.ask(client, dns.TypeA)
	if reply == nil || len(reply.Answer) == 0 {
		return ""
	}
	return reply.Answer[0].(*dns.A).A.String()
}

func (s *stage) ask(client netip.Addr, typ uint16) *dns.Msg {
	reverse, _ := dns.ReverseAddr(client.String())
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(strings.TrimSuffix(reverse, "in-addr.arpa.")+dnsbl+".", typ), s.dns)
	if err != nil {
		return nil
	}
	return reply
}

// watch tells, until the story ends, who comes to the DNSBL and who goes.
func (s *stage) watch(all []*sender) {
	go func() {
		now := map[netip.Addr]string{}
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-s.ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			for _, a := range all {
				listed := s.listedAs(a.from)
				if listed == now[a.from] {
					continue
				}
				if now[a.from] = listed; listed == "" {
					s.event("PARDONED %s (%s)", a.from, a.what)
					continue
				}
				s.mu.Lock()
				s.ever[a.from] = listed
				s.mu.Unlock()
				why := ""
				if reply := s.ask(a.from, dns.TypeTXT); reply != nil && len(reply.Answer) > 0 {
					why, _, _ = strings.Cut(strings.Join(reply.Answer[0].(*dns.TXT).Txt, ""), ";")
				}
				s.event("LISTED %s (%s) as %s: %s", a.from, a.what, listed, why)
			}
		}
	}()
}
