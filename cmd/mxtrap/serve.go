package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mxtrap/server"
	"mxtrap/zone/conf"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the zones over UDP and TCP, and metrics over HTTP",
		Long: `Serve the zones over UDP and TCP, and metrics over HTTP.

Without --config the server file is ./mxtrap.toml, or else /etc/mxtrap/mxtrap.toml. Where neither is there, an example zone is served on
127.0.0.1:5353, with metrics on 127.0.0.1:9153.
SIGHUP reads all files again, SIGTERM and SIGINT let the queries under way finish and end the server.`,
		Args: usage(cobra.NoArgs),
	}
	named := configFlag(c)
	listen := c.Flags().StringSlice("listen", nil, "listen addresses that replace server.listen")
	c.RunE = func(c *cobra.Command, _ []string) error {
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP) // before anything else: a HUP must not end a server that is still starting
		path := configPath(*named)
		config, log, level, err := readLogged(path)
		if err != nil {
			return err
		}
		if len(*listen) > 0 {
			if err := config.ListenOn(*listen); err != nil {
				return usageError{fmt.Errorf("--listen: %w", err)}
			}
		}
		options := server.Options{Notify: notify, Log: log, Level: level}
		options.Version, options.Commit = buildVersion()
		options.Built = buildTime()
		options.Progress = progress(options.Log)
		if path == "" {
			address := config.Listen[0]
			hint := sync.OnceFunc(func() { fmt.Fprintf(os.Stderr, exampleHint, address.Addr(), address.Port(), config.Metrics) })
			options.Notify = func(e server.Event) {
				notify(e)
				hint()
			}
		}
		var s *server.Server
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			s, err = server.New(c.Context(), config, options)
		}()
		select {
		case <-loaded:
		case <-c.Context().Done(): // the load is of no use any more; it ends with the process
			return nil
		}
		if problems := (server.Problems)(nil); errors.As(err, &problems) {
			server.LogProblems(log, problems)
			log.Error("not started, because no zone can be served")
			return errReported
		}
		if err == nil {
			err = s.Run(c.Context(), reload)
		}
		if err != nil {
			log.Error("cannot serve", "error", err)
			return errReported
		}
		return nil
	}
	return c
}

// readLogged reads the server file, or takes the example where there is none. What is wrong with the file is logged as the file wants it, as far as
// that can be told.
func readLogged(path string) (*server.Config, *slog.Logger, *slog.LevelVar, error) {
	config := server.Example()
	var report conf.Report
	if path != "" {
		if read := server.CheckConfig(path, &report); read != nil {
			config = read
		}
	}
	log, level := config.Logger()
	server.LogProblems(log, report.Problems())
	if report.Faults() > 0 {
		log.Error("not started, because the server file has faults")
		return nil, nil, nil, errReported
	}
	return config, log, level, nil
}

// exampleHint is printed once the example is served.
const exampleHint = `
No server file: this is the built-in example, a trapped example.com. Ask it from another terminal:

    dig @%s -p %d example.com MX

Its metrics are at http://%s/metrics. Ctrl-C ends it.
`

// notify tells systemd what the server does; without systemd it does nothing (sd_notify(3)).
func notify(e server.Event) {
	switch e {
	case server.Ready:
		daemon.SdNotify(false, daemon.SdNotifyReady)
	case server.Stopping:
		daemon.SdNotify(false, daemon.SdNotifyStopping)
	case server.Reloading: // Type=notify-reload wants the time too
		var now unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		daemon.SdNotify(false, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	}
}
