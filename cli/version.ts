// The version of package.json; the bundler puts it in, so that no file is read for it.
import manifest from '../package.json' with { type: 'json' };

export const version: string = manifest.version;
