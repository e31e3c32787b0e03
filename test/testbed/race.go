package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// raceLog is where the race detector of the plugin's processes writes, each to a file
// of its own; nothing else would show what it finds.
func (b *Bed) raceLog() string { return filepath.Join(b.Dir, "race") }

// raceEnv tells the plugin's processes, by way of Vault, where that is.
func (b *Bed) raceEnv() []string {
	if !b.opts.Plugin.Race {
		return nil
	}
	return []string{"GORACE=log_path=" + b.raceLog()}
}

// Races is an error with what the race detector found in the plugin so far; nil if
// there is nothing, or the plugin was not built with it.
func (b *Bed) Races() error {
	files, err := filepath.Glob(b.raceLog() + ".*")
	if err != nil {
		return err
	}
	var found []error
	for _, file := range files {
		report, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found = append(found, fmt.Errorf("the plugin has a data race:\n%s", report))
	}
	return errors.Join(found...)
}
