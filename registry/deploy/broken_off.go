package deploy

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
	"ndock/registry/trust"
)

// fileBefore is an archive of the files that were there, as long as a deployment is under way. Where one is found,
// ndock was killed while deploying.
const fileBefore = "before.tar.gz"

// largestBefore bounds what is read back of it.
const largestBefore = 8 << 20

// errBrokenOff is why logins are not changed after a deployment that was killed: the next one takes the files back.
var errBrokenOff = &registry.Error{Err: errors.New("a deployment of the registry was broken off"), Help: "deploy it again first, with the options that it shall have"}

// remembered is the file that has these in it. It is compressed for the checksum.
func (f files) remembered() (files, error) {
	archive, err := f.pack()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, err = io.Copy(w, archive)
	err = errors.Join(err, w.Close())
	return files{fileBefore: text.Bytes()}, err
}

// before returns the files that a deployment which was broken off found. There are none where none was, or where it
// did not get to write all of them: it touches nothing else before it has.
func (f files) before() (found files, ok bool) {
	r, err := gzip.NewReader(bytes.NewReader(f[fileBefore]))
	if err != nil {
		return nil, false
	}
	found, err = unpack(io.LimitReader(r, largestBefore))
	if err != nil {
		return nil, false
	}
	_, err = io.Copy(io.Discard, io.LimitReader(r, largestBefore)) // to the checksum
	return found, err == nil
}

// settled are the files as they are when no deployment is under way.
func (f files) settled() files {
	if found, ok := f.before(); ok {
		delete(found, unitName)
		return found
	}
	all := maps.Clone(f)
	delete(all, fileBefore)
	return all
}

// recover puts back the registry that was there before a deployment that was killed. The one that was made meanwhile
// has not proven that it works.
func (d *inContainer) recover(ctx context.Context) error {
	aside, err := inspectNamed(ctx, d.engine, backupName)
	if err != nil {
		return err
	}
	at := aside
	if at == nil {
		at = d.old
	}
	if at == nil {
		return nil
	}
	config, err := readConfig(ctx, d.engine, at.ID)
	if err != nil {
		return err
	}
	kept, broken := config.before()
	if !broken && (aside == nil || d.old != nil) { // a container that is left over is removed later
		return nil
	}
	delete(config, fileBefore) // which stays until all is put back
	if !broken {               // so that the files are as they were
		kept = config
	}
	d.Report.Step("the last deployment was broken off")
	at.State.Running = true // as far as is known
	undone := &inContainer{deployment: &deployment{Options: d.Options, said: d.said, kept: kept, files: config}, engine: d.engine, old: at, noted: broken, wrote: broken}
	undone.place = undone
	labels := at.Config.Labels
	if err := undone.undoBrokenOff(ctx, labels[labelListen], labels[labelTLS]); err != nil {
		return err
	}
	d.recovered = true
	d.old, err = inspect(ctx, d.engine)
	return err
}

// recover puts back the service that was there before a deployment that was killed.
func (d *asService) recover(ctx context.Context) error {
	config, err := d.systemd.readFiles()
	if err != nil {
		return err
	}
	kept, broken := config.before()
	if !broken {
		return nil
	}
	delete(config, fileBefore) // which stays until all is put back
	d.Report.Step("the last deployment was broken off")
	undone := &asService{deployment: &deployment{Options: d.Options, said: d.said, kept: kept, files: config}, systemd: d.systemd}
	undone.place, undone.old = undone, kept[unitName]
	undone.was = serviceState{active: "active", enabled: true} // as far as is known
	delete(kept, unitName)
	said, _ := parseUnit(undone.old)
	if err := undone.undoBrokenOff(ctx, said.Listen, said.TLS); err != nil {
		return err
	}
	d.recovered = true
	return d.look(ctx)
}

// trustAgain has Docker on this host trust the registry that was there, and no more the one that was to come.
func (d *deployment) trustAgain(listen, mode string) error {
	certs, kept := trust.Certs{Dir: d.CertsDir}, d.kept
	if ca := d.files[fileCA]; !bytes.Equal(ca, kept[fileCA]) {
		if _, err := certs.Sync(d.Report, nil, ca); err != nil {
			return err
		}
	}
	var registries []string
	if at, err := config.ParseAddress(listen); err == nil && mode == tlsSelfSigned {
		registries = kept.registries(at.Port)
	}
	_, err := certs.Sync(d.Report, registries, kept[fileCA])
	return err
}

// undoBrokenOff puts back the registry that was there. The trust comes first, while the files tell which CA is to go.
func (d *deployment) undoBrokenOff(ctx context.Context, listen, mode string) error {
	steps := []rollback.Step{
		{Title: "trust", Do: func(context.Context) error { return d.trustAgain(listen, mode) }, ByHand: "see to why " + d.CertsDir + " takes no files; the next 'ndock registry deploy' mends it"},
	}
	failed := d.takeBack(ctx, append(steps, d.place.putBack()...))
	if len(failed) == 0 {
		return nil
	}
	return &registry.Error{Op: "put back the registry that was there before", Err: rollback.Join(failed), Help: "do by hand what is said to be left, or see to what kept it from being done and deploy again"}
}
