package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/oslo"
)

// inForce returns the value of an option that Nova takes, and from which file. Nova's own Python is asked, with the command line
// of the service. Where that cannot be, it goes by the files of the layout: with Kolla, whose container has a copy of the
// one file there is, and for a tree that is another machine's.
func (m Machine) inForce(ctx context.Context, section, option string) (oslo.Setting, error) {
	if m.Layout.Kolla || m.OtherMachines {
		return m.Layout.Setting(section, option)
	}
	if err := m.Layout.CheckFiles(); err != nil { // Nova's Python would wait for a pipe, and follow a link
		return oslo.Setting{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, pythonLimit)
	defer cancel()
	python, err := m.python()
	if err != nil {
		return oslo.Setting{}, err
	}
	words, err := m.commandLine(ctx)
	if err != nil {
		return oslo.Setting{}, err
	}
	return oslo.Ask(ctx, python, section, option, words, m.Commands.Run)
}

// commandLine returns the words that nova-compute is started with; what the operator said of it where the service does not tell.
func (m Machine) commandLine(ctx context.Context) ([]string, error) {
	words, err := m.serviceWords(ctx)
	if err == nil && !slices.ContainsFunc(words, func(word string) bool { return filepath.Base(word) == "nova-compute" }) {
		err = fmt.Errorf("find the files that nova-compute reads: service %s runs %q, and not nova-compute by that name", m.Layout.Compute.Name, strings.Join(words, " "))
	}
	switch {
	case err == nil:
		return words, nil
	case m.Layout.Arguments != nil && ctx.Err() == nil:
		return m.Layout.Arguments, nil
	}
	return nil, system.Advise(err, "name its file and its Python with --nova-python, --nova-conf and --service")
}

// serviceWords returns the words that the service is started with, if need be as its init script tells them. The script is run
// as nova: as root it makes directories.
func (m Machine) serviceWords(ctx context.Context) ([]string, error) {
	words, err := m.Services.Arguments(ctx, m.Layout.Compute)
	script := "/etc/init.d/" + m.Layout.Compute.Name
	if err != nil || len(words) > 0 && !slices.Contains(words, script) {
		return words, err
	}
	if !m.Layout.Exists(script) {
		return nil, fmt.Errorf("find the files that nova-compute reads: %s is not there", m.Layout.Path(script))
	}
	out, err := m.Commands.Run(ctx, append(system.AsUser(m.Layout.User), m.Layout.Path(script), "show-args")...)
	if err != nil {
		return nil, fmt.Errorf("find the files that nova-compute reads: %w", err)
	}
	const most = 64 << 10
	if len(out) > most {
		return nil, fmt.Errorf("find the files that nova-compute reads: %s says more than a command line can have", m.Layout.Path(script))
	}
	return strings.Fields(out), nil
}

// checkTaken returns an error where Nova would not take a driver that is set in this file: another file that it reads later
// sets one, or it does not read this one.
func (m Machine) checkTaken(now oslo.Setting, file string) error {
	at, by := slices.Index(now.Files, file), slices.Index(now.Files, now.File)
	switch {
	case at < 0 && file == layout.DropIn: // it is not there yet, and is read in the order of names
		if filepath.Dir(now.File) == filepath.Dir(file) && now.File > file {
			return m.notTaken(now, file)
		}
	case at < 0 && m.Layout.Exists(file):
		return system.Advise(fmt.Errorf("nova-compute does not read %s, but %s", m.Layout.Path(file), strings.Join(now.Files, ", ")),
			"have its service name that file with --config-file, or name another one with --nova-python, --nova-conf and --service")
	case at >= 0 && by > at:
		return m.notTaken(now, file)
	}
	return nil
}

func (m Machine) notTaken(now oslo.Setting, file string) error {
	if now.File == "" {
		return fmt.Errorf("nova-compute does not read %s", m.Layout.Path(file))
	}
	return system.Advise(fmt.Errorf("%s sets %s = %s, and Nova reads it after %s", m.Layout.Path(now.File), key, system.Printable(now.Value), m.Layout.Path(file)),
		"remove that line, then run this again")
}

// checkOnce returns an error where the driver is set twice in one file, as its author may rely on either. A drop-in counts only
// where Nova takes those.
func (m Machine) checkOnce(now oslo.Setting) error {
	files, err := m.Layout.ConfigFiles()
	if err != nil {
		return err
	}
	for _, path := range files {
		if layout.IsDropIn(m.Layout.Cut(path)) && !now.DropInsWin {
			continue
		}
		conf, err := layout.ReadConf(path)
		if err != nil {
			return err
		}
		if _, _, err := conf.Get(section, key); err != nil {
			return err
		}
	}
	return nil
}
