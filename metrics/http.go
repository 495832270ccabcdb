package metrics

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// List is the list of clients as HTTP gives it.
type List struct {
	Text  string
	Made  time.Time
	Known bool
}

// Handler serves /metrics, /ready (200 once queries are answered, of one zone at least), /live, /list.txt where there is a list,
// and where it is shown the page.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !m.ready.Load() {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		if !m.answered.Load() {
			http.Error(w, "no zone can be answered", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /list.txt", func(w http.ResponseWriter, r *http.Request) {
		switch list := m.List.Load(); {
		case list == nil:
			http.NotFound(w, r)
		case !list.Known:
			http.Error(w, "the sightings are being read", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			http.ServeContent(w, r, "", list.Made, strings.NewReader(list.Text))
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if page := m.Page.Load(); page != nil {
			(*page).ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
	return mux
}

// Serve answers HTTP on a listener, which bounds its connections, until it is closed; what it returns closes it.
func (m *Metrics) Serve(l net.Listener, log *slog.Logger) (stop func()) {
	s := &http.Server{
		Handler:           m.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	return func() {
		s.Close()
		<-done
	}
}
