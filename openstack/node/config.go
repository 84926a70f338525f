package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"ndock/openstack/novadriver"
	"ndock/openstack/oslo"
)

const (
	section = "DEFAULT"
	key     = "compute_driver"
)

// config is the step that has Nova's configuration name the driver.
type config struct {
	Machine
	did    changes // of this run
	undone bool
}

func (c *config) Title() string { return "config" }

func (c *config) path() string { return c.Layout.Path(c.Layout.Config) }

// created is the whole file where there was none.
const created = "# made by 'ndock node setup'\n[DEFAULT]\ncompute_driver = " + novadriver.Driver + "\n"

// read returns the file, nil when there is none.
func read(path string) (*oslo.Conf, error) {
	conf, err := readConf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return conf, err
}

func (c *config) Plan(context.Context) ([]string, error) {
	if err := c.unambiguous(); err != nil {
		return nil, err
	}
	conf, err := read(c.path())
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return []string{fmt.Sprintf("make %s, with %s = %s", c.path(), key, novadriver.Driver)}, nil
	}
	now, found, err := conf.Get(section, key)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return []string{fmt.Sprintf("set %s = %s in %s", key, novadriver.Driver, c.path())}, nil
	case now != novadriver.Driver:
		return []string{fmt.Sprintf("set %s = %s in %s, in place of %s", key, novadriver.Driver, c.path(), printable(now))}, nil
	}
	return nil, nil
}

// unambiguous refuses a configuration that says two things: one file that sets the driver twice, whoever wrote that may
// believe in either; or a file that Nova reads later than ours, and that wins.
func (c *config) unambiguous() error {
	files, err := c.Layout.configFiles()
	if err != nil {
		return err
	}
	later := false
	for _, path := range files {
		conf, err := readConf(path)
		if err != nil {
			return err
		}
		driver, found, err := conf.Get(section, key)
		if err != nil {
			return err
		}
		if later && found && driver != novadriver.Driver {
			return advise(fmt.Errorf("%s sets %s = %s, and Nova reads it after %s", path, key, printable(driver), c.path()), "remove that line, then run this again")
		}
		later = later || path == c.path()
	}
	return nil
}

// Edits sets the driver.
func (c *config) Edits(context.Context) ([]Edit, error) {
	conf, err := read(c.path())
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return []Edit{{c.path(), nil, []byte(created)}}, nil
	}
	before := conf.Bytes()
	if err := conf.Set(section, key, novadriver.Driver); err != nil {
		return nil, err
	}
	return changing(Edit{c.path(), before, conf.Bytes()}), nil
}

// Do records the file as it is now, and edits it.
func (c *config) Do(ctx context.Context) error {
	edits, err := c.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	if edits[0].Before == nil {
		return c.did.write(c.path(), edits[0].After, 0o644)
	}
	if err := c.record().Keep(&c.did, c.Layout.Config); err != nil {
		return err
	}
	return c.did.edit(c.path(), edits[0].After)
}

func (c *config) Detail(context.Context) string {
	return fmt.Sprintf("%s = %s in %s", key, novadriver.Driver, c.path())
}
