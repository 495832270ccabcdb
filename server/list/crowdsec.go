package list

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mxtrap/server/judge"
	"mxtrap/server/secret"
	"mxtrap/zone/conf"
)

// CrowdSec is a local API of CrowdSec that is told who is listed.
type CrowdSec struct {
	URL      string // "": none is
	Machine  string
	Password string
}

// readCrowdSec reads the table [list.crowdsec].
func readCrowdSec(t *conf.Table, beside func(string) string) (c CrowdSec) {
	var file string
	t.String("url", &c.URL)
	t.String("machine", &c.Machine)
	t.String("password_file", &file)
	t.Close()
	if c.URL == "" {
		if c.Machine != "" || file != "" {
			t.Fault("url", "", `missing: where the local API is, such as "http://127.0.0.1:8080"`)
		}
		return c
	}
	if u, err := url.Parse(c.URL); err == nil && u.User != nil {
		t.Fault("url", "", "has a password in it: write password_file")
	} else if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		t.Fault("url", c.URL, `is no address of a local API: write "http://127.0.0.1:8080"`)
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Machine == "" {
		t.Fault("machine", "", "missing: cscli machines add mxtrap --password … makes one")
	}
	if file == "" {
		t.Fault("password_file", "", "missing: the file with the machine's password")
	} else if lines := secret.Lines(t, "password_file", beside(file)); len(lines) > 0 {
		c.Password = lines[0]
	}
	return c
}

const (
	// crowdSecScenario is what decisions of mxtrap are called, and crowdSecOrigin where they come from.
	crowdSecScenario = "mxtrap/list"
	crowdSecOrigin   = "mxtrap"
	// crowdSecEvery is how often the decisions are compared with the list, though it has not changed.
	crowdSecEvery = 5 * time.Minute
	// crowdSecAgain is how long it waits when the API has not answered.
	crowdSecAgain = 10 * time.Second
	crowdSecTime  = 10 * time.Second // that the API has to answer
	mostAlerts    = 500              // that are told together
	mostAnswer    = 64 << 20         // octets that are read of an answer
)

// teller keeps the decisions of a CrowdSec as the list is.
type teller struct {
	CrowdSec
	client *http.Client
	token  string
}

// TellCrowdSec keeps CrowdSec's decisions as the list is, until the context ends. It looks whenever changed receives. The function that it returns
// waits for the end.
func TellCrowdSec(ctx context.Context, c CrowdSec, changed <-chan struct{}, listed func() ([]judge.Entry, bool), log *slog.Logger) (wait func()) {
	if c.URL == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := &teller{CrowdSec: c, client: &http.Client{Timeout: crowdSecTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		broken, said, at := false, "", time.Time{}
		for {
			next := crowdSecEvery
			entries, ok := listed()
			if now := ends(entries); ok && (broken || now != said || time.Since(at) >= crowdSecEvery) {
				err := t.compare(ctx, entries, time.Now())
				said, at = now, time.Now()
				if err != nil && ctx.Err() == nil {
					if next = crowdSecAgain; !broken {
						log.Error("cannot tell CrowdSec who is listed", "url", c.URL, "error", conf.Plain(err))
					}
				} else if broken {
					log.Info("CrowdSec is told again who is listed", "url", c.URL)
				}
				broken = err != nil
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-time.After(next):
			}
		}
	}()
	return func() { <-done }
}

// ends tells lists apart whose clients or ends differ.
func ends(entries []judge.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&b, e.Client, e.End/int64(slack.Seconds()))
	}
	return b.String()
}

// decision is one of CrowdSec's.
type decision struct {
	ID       int    `json:"id,omitempty"`
	Origin   string `json:"origin"`
	Type     string `json:"type"`
	Scope    string `json:"scope"`
	Value    string `json:"value"`
	Duration string `json:"duration"`
	Scenario string `json:"scenario"`
}

// alert is what a decision follows from.
type alert struct {
	Scenario        string     `json:"scenario"`
	ScenarioHash    string     `json:"scenario_hash"`
	ScenarioVersion string     `json:"scenario_version"`
	Message         string     `json:"message"`
	EventsCount     int32      `json:"events_count"`
	StartAt         string     `json:"start_at"`
	StopAt          string     `json:"stop_at"`
	Capacity        int32      `json:"capacity"`
	Leakspeed       string     `json:"leakspeed"`
	Simulated       bool       `json:"simulated"`
	Events          []struct{} `json:"events"`
	Source          struct {
		Scope string `json:"scope"`
		Value string `json:"value"`
		IP    string `json:"ip,omitempty"`
	} `json:"source"`
	Decisions []decision `json:"decisions"`
}

// slack is how much the end of a decision may differ from that of the listing.
const slack = time.Minute

// compare makes the decisions those of the list.
func (t *teller) compare(ctx context.Context, entries []judge.Entry, now time.Time) error {
	var known []alert
	if err := t.ask(ctx, http.MethodGet, "/v1/alerts?"+url.Values{"scenario": {crowdSecScenario}, "has_active_decision": {"true"}, "limit": {"0"}}.Encode(), nil, &known); err != nil {
		return err
	}
	left := map[string]time.Duration{} // of decisions, by client
	ids := map[string][]int{}
	for _, a := range known {
		for _, d := range a.Decisions {
			after, err := time.ParseDuration(d.Duration)
			if d.Origin != crowdSecOrigin || err != nil || after <= 0 {
				continue
			}
			left[d.Value] = max(left[d.Value], after)
			ids[d.Value] = append(ids[d.Value], d.ID)
		}
	}
	var tell []alert
	for _, e := range entries {
		value := judge.Bare(e.Client)
		rest := time.Unix(e.End, 0).Sub(now)
		if there := left[value]; there > rest-slack && there < rest+slack {
			delete(ids, value)
			continue
		}
		tell = append(tell, alertOf(e, rest))
	}
	for _, list := range ids { // of clients that are listed no more, or until another time
		for _, id := range list {
			if err := t.ask(ctx, http.MethodDelete, fmt.Sprintf("/v1/decisions/%d", id), nil, nil); err != nil && !errors.Is(err, errGone) {
				return err
			}
		}
	}
	for len(tell) > 0 {
		some := tell[:min(mostAlerts, len(tell))]
		if err := t.ask(ctx, http.MethodPost, "/v1/alerts", some, nil); err != nil {
			return err
		}
		tell = tell[len(some):]
	}
	return nil
}

func alertOf(e judge.Entry, left time.Duration) (a alert) {
	first, last := e.Grounds[0], e.Grounds[len(e.Grounds)-1]
	a.Scenario, a.Message = crowdSecScenario, e.Grade.String()+"; at "+last.Decoy
	a.EventsCount, a.Leakspeed, a.Events = int32(len(e.Grounds)), "0", []struct{}{}
	a.StartAt, a.StopAt = time.Unix(first.At, 0).UTC().Format(time.RFC3339), time.Unix(last.At, 0).UTC().Format(time.RFC3339)
	scope := "Ip"
	if !e.Client.IsSingleIP() {
		scope = "Range"
	} else {
		a.Source.IP = judge.Bare(e.Client)
	}
	a.Source.Scope, a.Source.Value = scope, judge.Bare(e.Client)
	a.Decisions = []decision{{Origin: crowdSecOrigin, Type: "ban", Scope: scope, Value: judge.Bare(e.Client), Duration: left.Round(time.Second).String(), Scenario: crowdSecScenario}}
	return a
}

// ask asks the API, after it has told who asks.
func (t *teller) ask(ctx context.Context, method, path string, body, answer any) error {
	for again := false; ; again = true {
		if t.token == "" {
			var login struct {
				Token string `json:"token"`
			}
			if err := t.send(ctx, http.MethodPost, "/v1/watchers/login", map[string]any{"machine_id": t.Machine, "password": t.Password, "scenarios": []string{crowdSecScenario}}, &login); err != nil {
				return fmt.Errorf("machine %q: %w", t.Machine, err)
			}
			t.token = login.Token
		}
		err := t.send(ctx, method, path, body, answer)
		if !errors.Is(err, errNotIn) || again {
			return err
		}
		t.token = "" // it has ended
	}
}

// errNotIn is the error of a token that does not hold.
var errNotIn = errors.New("the local API does not let this machine in: is it validated (cscli machines list)?")

// errGone is the error of a decision that is not there any more.
var errGone = errors.New("it is gone")

func (t *teller) send(ctx context.Context, method, path string, body, answer any) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, t.URL+path, text)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if t.token != "" {
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	said, err := t.client.Do(r)
	if err != nil {
		return err
	}
	defer said.Body.Close()
	in := io.LimitReader(said.Body, mostAnswer)
	switch {
	case said.StatusCode == http.StatusUnauthorized, said.StatusCode == http.StatusForbidden:
		return errNotIn
	case said.StatusCode == http.StatusNotFound && method == http.MethodDelete:
		return errGone
	case said.StatusCode >= 300:
		why, _ := io.ReadAll(io.LimitReader(in, 500))
		return fmt.Errorf("%s %s: %s: %s", method, path, said.Status, why)
	case answer != nil:
		return json.NewDecoder(in).Decode(answer)
	}
	return nil
}
