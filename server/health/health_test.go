package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mxtrap/server/fake"
)

func TestWhatMakesAnExchangeWell(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"it answers as a sender needs it", []string{"220 mail ESMTP\r\n", "250-mail\r\n250-SIZE 1000\r\n250 8BITMIME\r\n", "221 Bye\r\n"}, ""},
		{"its greeting has many lines", []string{"220-mail\r\n220 ESMTP\r\n", "250 mail\r\n", "221 Bye\r\n"}, ""},
		{"it has too much to do", []string{"421 later\r\n"}, `greets with "421 later`},
		{"it takes no mail", []string{"554 no\r\n"}, `greets with "554 no`},
		{"it hangs up at once", nil, "greets with nothing whole"},
		{"it knows no EHLO", []string{"220 mail\r\n", "502 what\r\n"}, `answers EHLO with "502`},
		{"it hangs up in the middle", []string{"220 mail\r\n", "250-ma"}, "answers EHLO with nothing whole"},
		{"it talks without end", []string{"220 mail\r\n", strings.Repeat("250-x\r\n", 1000)}, "more than 100 lines"},
		{"its line has no end", []string{strings.Repeat("2", 10000)}, "greets with nothing whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at, _ := fake.MailHost(t, "127.0.0.1:0", c.lines...)
			err := Dial(t.Context(), at, "watch.test")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	defer l.Close()
	if err := Dial(ctx, l.Addr().(*net.TCPAddr).AddrPort(), "watch.test"); err == nil {
		t.Error("a host that says nothing is well")
	}
	if err := Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"), "watch.test"); err == nil || errors.Is(err, errNoWay) {
		t.Error(err)
	}
}

// hosts are mail hosts of a test, by address, each with what a visit to it comes to.
type hosts struct {
	sync.Mutex
	errs map[netip.Addr]error
}

func (h *hosts) dial(_ context.Context, a netip.Addr) error {
	h.Lock()
	defer h.Unlock()
	return h.errs[a]
}

func (h *hosts) set(a netip.Addr, err error) {
	h.Lock()
	defer h.Unlock()
	h.errs[a] = err
}

func TestAGroupIsWellWhenAllOfItHasBeenForLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
		down := errors.New("connection refused")
		h := &hosts{errs: map[netip.Addr]error{six: errNoWay, b: down}}
		var log strings.Builder
		w := New(RealTime, h.dial, slog.New(slog.NewTextHandler(&log, nil)))
		one := &Group{Exchanges: []Exchange{{"one.test", "mail.one.test", []netip.Addr{a, six}}}}
		both := &Group{Exchanges: []Exchange{{"two.test", "mail.two.test", []netip.Addr{a}}, {"two.test", "bob.two.test", []netip.Addr{b}}}}
		unknown := &Group{Exchanges: []Exchange{{"three.test", "elsewhere.test", nil}, {"three.test", "mail.two.test", []netip.Addr{a}}}}
		farther := &Group{Exchanges: []Exchange{{"four.test", "six.four.test", []netip.Addr{six}}}}
		w.Use([]*Group{one, both, unknown, farther, {}})
		ctx, cancel := context.WithCancel(t.Context())
		wait := w.Run(ctx)
		wants := func(when string, wantOne, wantBoth bool) {
			t.Helper()
			synctest.Wait()
			if one.Well() != wantOne || both.Well() != wantBoth || unknown.Well() || farther.Well() {
				t.Errorf("%s: %v %v %v %v, want %v %v", when, one.Well(), both.Well(), unknown.Well(), farther.Well(), wantOne, wantBoth)
			}
		}
		wants("at the start", false, false)
		time.Sleep(RealTime.Settle - time.Second)
		wants("before it has been long enough", false, false)
		time.Sleep(3 * time.Second)
		wants("after five minutes", true, false)
		h.set(b, nil)
		time.Sleep(RealTime.Settle + RealTime.Every)
		wants("after the other was well for five minutes", true, true)
		h.set(a, down)
		time.Sleep(RealTime.Every)
		wants("when one went down", false, false)
		h.set(a, nil)
		time.Sleep(RealTime.Settle)
		wants("soon after it came back", false, false)
		time.Sleep(RealTime.Every + time.Second)
		wants("when it has been back for long enough", true, true)
		w.Use([]*Group{one, both})
		wants("after a reload", true, true)
		if got := fmt.Sprint(w.States()); got != "[{{one.test mail.one.test [192.0.2.1 2001:db8::1]} true } {{two.test bob.two.test [192.0.2.2]} true } {{two.test mail.two.test [192.0.2.1]} true }]" {
			t.Error(got)
		}
		h.set(b, down)
		time.Sleep(RealTime.Every + time.Second)
		if s := w.States()[1]; s.Up || s.Why != "connection refused" {
			t.Errorf("%+v", s)
		}
		cancel()
		wait()
		if n := strings.Count(log.String(), "is not well"); n != 4 { // bob, six, mail, bob
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}

// TestWhatIsNotDialledIsNotWell: the watch may be slower than its exchanges are many.
func TestWhatIsNotDialledIsNotWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := netip.MustParseAddr("192.0.2.1")
		hang := make(chan bool)
		dials := 0
		w := New(RealTime, func(ctx context.Context, _ netip.Addr) error {
			if dials++; dials > 20 {
				select {
				case <-hang:
				case <-ctx.Done():
				}
			}
			return nil
		}, slog.New(slog.DiscardHandler))
		g := &Group{Exchanges: []Exchange{{"one.test", "mail.one.test", []netip.Addr{a}}}}
		w.Use([]*Group{g})
		ctx, cancel := context.WithCancel(t.Context())
		wait := w.Run(ctx)
		time.Sleep(RealTime.Settle + 2*time.Minute)
		if synctest.Wait(); !g.Well() {
			t.Error("it is not well")
		}
		time.Sleep(6 * time.Minute)
		if synctest.Wait(); g.Well() {
			t.Error("it is well, though nobody has looked")
		}
		cancel()
		wait()
	})
}
