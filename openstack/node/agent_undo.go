package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Teardown stops the agent before its files go.
func (a *agent) Teardown(ctx context.Context) ([]string, error) {
	there := slices.DeleteFunc(a.installed(), func(path string) bool { return !a.exists(path) })
	if len(there) == 0 {
		return nil, nil
	}
	if err := a.withdraw(ctx, true, true); err != nil {
		return nil, err
	}
	texts := []string{"stopped service " + agentName}
	var gone changes
	for _, path := range there {
		if err := gone.remove(a.Layout.Path(path)); err != nil {
			return texts, err
		}
		texts = append(texts, "removed "+a.Layout.Path(path))
	}
	if !a.exists(a.Layout.AgentFile) {
		if err := a.Layout.amend(func(r *record) { r.Program = "" }); err != nil {
			return texts, err
		}
	}
	for _, dir := range []string{serversDir, filepath.Dir(recordFile), filepath.Dir(a.Layout.AgentConf)} {
		removeEmpty(a.Layout.Path(dir)) // stays when it holds more
	}
	if others := a.othersOf(a.Layout.AgentFile); len(others) > 0 {
		texts = append(texts, "left "+a.Layout.Path(a.Layout.AgentFile)+", which "+strings.Join(others, ", ")+" runs")
	}
	if a.exists(a.Layout.AgentConf) {
		texts = append(texts, "left "+a.Layout.Path(a.Layout.AgentConf)+", which was edited")
	}
	return texts, a.Services.Forget(ctx, a.service())
}

// installed are the files that setup may have made.
func (a *agent) installed() []string {
	var paths []string
	for _, f := range a.Services.AgentFiles(a.Layout) {
		paths = append(paths, f.path)
	}
	if a.brought() && len(a.othersOf(a.Layout.AgentFile)) == 0 {
		paths = append(paths, a.Layout.AgentFile, formerProgram)
	}
	if unchanged, err := holds(a.Layout.Path(a.Layout.AgentConf), a.Rules, 0o644); err == nil && unchanged {
		paths = append(paths, a.Layout.AgentConf)
	}
	return paths
}

// brought tells whether the program is setup's own. A record that cannot be read is told by the steps that need it.
func (a *agent) brought() bool {
	r, err := a.Layout.readRecord()
	return err == nil && r.Program == a.Layout.AgentFile || begins(a.Layout.Path(formerProgram), a.Layout.AgentFile+"\n")
}

// othersOf are the units of services that run the agent's program, too, as a registry does.
func (a *agent) othersOf(program string) (others []string) {
	runs := regexp.MustCompile(`(?m)^ExecStart="?` + regexp.QuoteMeta(program) + `"? `)
	units, _ := filepath.Glob(a.Layout.Path("/etc/systemd/system/*.service")) // of a pattern that is one
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		name := filepath.Base(unit)
		if err == nil && name != agentName+".service" && runs.Match(text) {
			others = append(others, name)
		}
	}
	return others
}

func (a *agent) exists(path string) bool {
	_, err := os.Stat(a.Layout.Path(path))
	return !errors.Is(err, fs.ErrNotExist)
}

// withdraw stops the service, and has it no longer started at boot, where there is one.
func (a *agent) withdraw(ctx context.Context, stop, disable bool) error {
	if !a.exists(a.Services.AgentFiles(a.Layout)[0].path) {
		return nil
	}
	var failed []error
	if stop {
		failed = append(failed, a.Services.Stop(ctx, a.service()))
	}
	if disable {
		failed = append(failed, a.Services.Disable(ctx, a.service()))
	}
	return errors.Join(failed...)
}

// Rollback has the earlier agent back, running if it ran.
func (a *agent) Rollback(ctx context.Context) ([]string, error) {
	if a.before == nil { // nothing was done yet
		return nil, nil
	}
	failed := []error{
		a.withdraw(ctx, !a.before.running, !a.before.enabled),
		a.did.takeBack(),
		a.Services.Forget(ctx, a.service()),
	}
	if a.before.running {
		failed = append(failed, a.Services.Restart(ctx, a.service()))
		return []string{"the agent of before runs again"}, errors.Join(failed...)
	}
	return []string{"stopped service " + agentName + " and removed what was written"}, errors.Join(failed...)
}
