package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"mxtrap/server/judge"
	"mxtrap/server/share"
)

// Client asks the server behind a socket.
type Client struct{ http http.Client }

// ErrNoServer says that nobody is at the socket.
var ErrNoServer = errors.New("no server answers")

// NewClient makes a client of the socket at a path.
func NewClient(path string) *Client {
	return &Client{http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			err = fmt.Errorf("%w at %s", ErrNoServer, path)
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%s: only the account that the server runs as, its group, and root may open it", path)
		}
		return conn, err
	}}}}
}

// ask makes a request, and reads the answer into a value.
func (c *Client) ask(ctx context.Context, method, path string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://mxtrap"+path, nil)
	if err != nil {
		return err
	}
	reply, err := c.http.Do(r)
	if err != nil {
		if of := (*url.Error)(nil); errors.As(err, &of) {
			err = of.Err
		}
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode == http.StatusOK {
		return json.NewDecoder(reply.Body).Decode(answer)
	}
	var failed failure
	if json.NewDecoder(reply.Body).Decode(&failed) != nil || failed.Error == "" {
		return fmt.Errorf("the server answers %s: is it of another version?", reply.Status)
	}
	return errors.New(failed.Error)
}

// Status asks how the server is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/status", &s)
	return s, err
}

// Zone asks how a zone is.
func (c *Client) Zone(ctx context.Context, name string) (z Zone, err error) {
	err = c.ask(ctx, http.MethodGet, "/zone?zone="+url.QueryEscape(name), &z)
	return z, err
}

// Reload has files read again, of one zone or, where the name is "", of all, and waits for the outcome.
func (c *Client) Reload(ctx context.Context, zone string) (r Reloaded, err error) {
	err = c.ask(ctx, http.MethodPost, "/reload?zone="+url.QueryEscape(zone), &r)
	return r, err
}

// Refresh has a zone's primary asked for a new version.
func (c *Client) Refresh(ctx context.Context, zone string) error {
	return c.ask(ctx, http.MethodPost, "/refresh?zone="+url.QueryEscape(zone), new(struct{}))
}

// Top watches what clients ask for during a time, and lists so many of each kind at most.
func (c *Client) Top(ctx context.Context, during time.Duration, most int) (t Top, err error) {
	err = c.ask(ctx, http.MethodGet, "/top?"+url.Values{"during": {during.String()}, "most": {strconv.Itoa(most)}}.Encode(), &t)
	return t, err
}

// Drop makes the RRsets of a name again what the files of its zone say.
func (c *Client) Drop(ctx context.Context, zone, name string) error {
	return c.ask(ctx, http.MethodPost, "/update/drop?"+url.Values{"zone": {zone}, "name": {name}}.Encode(), new(struct{}))
}

// List asks who is listed.
func (c *Client) List(ctx context.Context) (l List, err error) {
	err = c.ask(ctx, http.MethodGet, "/list", &l)
	return l, err
}

// Facts asks what is known of a client.
func (c *Client) Facts(ctx context.Context, client netip.Addr) (f Facts, err error) {
	err = c.ask(ctx, http.MethodGet, "/list/client?address="+url.QueryEscape(client.String()), &f)
	return f, err
}

// Pardon forgives what clients have done until now.
func (c *Client) Pardon(ctx context.Context, clients netip.Prefix) error {
	return c.ask(ctx, http.MethodPost, "/list/pardon?clients="+url.QueryEscape(clients.String()), new(struct{}))
}

// Report asks what the trap has come to in a time until now.
func (c *Client) Report(ctx context.Context, since time.Duration) (r judge.Report, err error) {
	err = c.ask(ctx, http.MethodGet, "/report?since="+url.QueryEscape(since.String()), &r)
	return r, err
}

// Share asks which servers share what they see.
func (c *Client) Share(ctx context.Context) (s share.Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/share", &s)
	return s, err
}

// Forget has nobody wait any more for a server that is gone for good.
func (c *Client) Forget(ctx context.Context, node string) error {
	return c.ask(ctx, http.MethodPost, "/share/forget?node="+url.QueryEscape(node), new(struct{}))
}

// LogLevel sets how much the server logs, until it starts again.
func (c *Client) LogLevel(ctx context.Context, level string) error {
	return c.ask(ctx, http.MethodPost, "/log-level?level="+url.QueryEscape(level), new(struct{}))
}
