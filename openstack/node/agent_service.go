package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"
)

const agentName = "ndock-agent"

// file is one of ours, as it is to be installed.
type file struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// agent is the step that has ndock's agent run as a service of this machine.
type agent struct {
	Machine
	did    changes     // of this run
	before *agentState // nil before Do has changed something
}

// agentState is how the service was found.
type agentState struct{ running, enabled bool }

func (a *agent) Title() string { return "agent" }

func (a *agent) service() Service {
	return Service{Name: agentName, PIDFile: "/run/ndock/agent.pid", Log: "/var/log/ndock/agent.log"}
}

func (a *agent) files() ([]file, error) {
	program, err := os.ReadFile(a.Program)
	if err != nil {
		return nil, fileError("read", a.Program, err)
	}
	return append([]file{{a.Layout.AgentFile, program, 0o755}}, a.Services.AgentFiles(a.Layout)...), nil
}

// missing returns the files that are not as they should be.
func (a *agent) missing() ([]file, error) {
	files, err := a.files()
	if err != nil {
		return nil, err
	}
	var missing []file
	for _, f := range files {
		ok, err := holds(a.Layout.Path(f.path), f.content, f.mode)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, f)
		}
	}
	if a.exists(a.Layout.AgentConf) { // it is the operator's, whatever is in it
		return missing, nil
	}
	return append(missing, file{a.Layout.AgentConf, a.Rules, 0o644}), nil
}

func (a *agent) Plan(ctx context.Context) ([]string, error) {
	missing, err := a.missing()
	if err != nil {
		return nil, err
	}
	var plan []string
	for _, f := range missing {
		plan = append(plan, "write "+a.Layout.Path(f.path))
	}
	enabled, err := a.Services.Enabled(ctx, a.service())
	if err != nil {
		return nil, err
	}
	if !enabled {
		plan = append(plan, "have service "+agentName+" started at boot")
	}
	verb, err := a.verb(ctx, len(missing) > 0)
	if verb != "" {
		plan = append(plan, verb+" service "+agentName)
	}
	return plan, err
}

// verb is what has to be done to the running agent, nothing when it is the one that is installed.
func (a *agent) verb(ctx context.Context, changing bool) (string, error) {
	pid, err := a.Services.PID(ctx, a.service())
	if err != nil {
		return "", err
	}
	if pid == 0 {
		return "start", nil
	}
	old := changing
	if !old {
		files := []string{a.Layout.AgentFile, a.Services.AgentFiles(a.Layout)[0].path, a.Layout.AgentConf}
		if old, err = outdated(a.Layout, pid, files); err != nil {
			return "", err
		}
	}
	if _, err := a.AgentVersion(ctx); err != nil || old {
		return "restart", nil
	}
	return "", nil
}

func (a *agent) Detail(ctx context.Context) string {
	version, err := a.AgentVersion(ctx)
	if err != nil {
		return err.Error()
	}
	state, err := a.AgentState(ctx)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("ndock's agent %s answers; %s", version, state)
}
