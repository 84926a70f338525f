package deploy

import (
	"bytes"
	"context"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
	"ndock/registry/trust"
)

// removedLater is what to do when the record of what was there cannot be removed.
const removedLater = "see to why it cannot be removed; the next 'ndock registry deploy' removes it"

// restore puts back the registry that was there, though the context may have ended, and returns the cause with what could
// not be undone.
func restore(ctx context.Context, t target, in inputs, current state, written files, done progress, edits []trust.Edit, cause error) error {
	steps := append(trust.Certs{Dir: in.CertsDir}.UndoSteps(edits), t.restore(current, written, done)...)
	return rollback.WithFailed(cause, takeBack(context.WithoutCancel(ctx), in, steps))
}

// takeBack runs the steps. The last one removes the record of what was there, and runs only when all of the others have
// succeeded: until then, the next deployment finds the record and runs them again.
func takeBack(ctx context.Context, in inputs, steps []rollback.Step) (failed []error) {
	last := len(steps) - 1
	limit := stepLimit(in.stopTimeout())
	if failed = rollback.Run(ctx, in.Report, "undo", limit, steps[:last]); len(failed) > 0 {
		return failed
	}
	return rollback.Run(ctx, in.Report, "undo", limit, steps[last:])
}

// recoverInterrupted puts back the registry that was there before a deployment that was killed. The one that was made
// meanwhile has not proven that it works. The trust comes first, while the files tell which CA is to go.
func recoverInterrupted(ctx context.Context, t target, in inputs, left interrupted) error {
	in.Report.Step("the last deployment was broken off")
	restoreTrust := rollback.Step{
		Title: "trust", ByHand: "see to why " + in.CertsDir + " takes no files; the next 'ndock registry deploy' mends it",
		Do: func(context.Context) error { return trustAgain(in, left) },
	}
	steps := append([]rollback.Step{restoreTrust}, t.restore(left.before, left.files, left.done)...)
	failed := takeBack(ctx, in, steps)
	if len(failed) == 0 {
		return nil
	}
	return &registry.Error{Op: "put back the registry that was there before", Err: rollback.Join(failed), Help: "do by hand what is said to be left, or see to what kept it from being done and deploy again"}
}

// trustAgain has Docker on this host trust the registry that was there, and no more the one that was to come.
func trustAgain(in inputs, left interrupted) error {
	certs, kept := trust.Certs{Dir: in.CertsDir}, left.before.files
	if ca := left.files[fileCA]; !bytes.Equal(ca, kept[fileCA]) {
		if _, err := certs.Sync(in.Report, nil, ca); err != nil {
			return err
		}
	}
	var registries []string
	if at, err := config.ParseAddress(left.before.listen); err == nil && left.before.tls == tlsSelfSigned {
		registries = kept.registries(at.Port)
	}
	_, err := certs.Sync(in.Report, registries, kept[fileCA])
	return err
}

// trustRegistry makes Docker on this host trust the registry's own CA where it is used, and nowhere else. It returns what it
// has changed, also when it fails.
func trustRegistry(in inputs, current state, wanted plan) (edits []trust.Edit, err error) {
	certs, before, ca := trust.Certs{Dir: in.CertsDir}, current.files[fileCA], wanted.files[fileCA]
	if !bytes.Equal(before, ca) {
		if edits, err = certs.Sync(in.Report, nil, before); err != nil {
			return edits, err
		}
	}
	changed, err := certs.Sync(in.Report, wanted.registries(), ca)
	return append(edits, changed...), err
}
