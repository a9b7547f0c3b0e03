// Runs the install scripts of the package in the working directory as npm would. The module that this file is part of
// says which packages that is done for.
'use strict';

const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

const [name, version, project] = process.argv.slice(2);
const folder = process.cwd();
const own = '/tmp/flashbuild-programs';

function fail(message) {
  console.error(`${name} ${version}: ${message}`);
  process.exit(1);
}

function readManifest(at) {
  return JSON.parse(fs.readFileSync(path.join(at, 'package.json'), 'utf8').replace(/^\uFEFF/, ''));
}

function ancestors(at) {
  const above = path.dirname(at);
  return above === at ? [at] : [at].concat(ancestors(above));
}

// Where a program in this package finds a package that it needs.
function folderOf(dependency) {
  return ancestors(folder)
    .filter((at) => path.basename(at) !== 'node_modules')
    .map((at) => path.join(at, 'node_modules', dependency))
    .find((at) => fs.existsSync(path.join(at, 'package.json')));
}

function writeProgram(program, file) {
  const at = path.join(own, path.basename(program));
  if (!fs.existsSync(at)) fs.writeFileSync(at, `#!/bin/sh\nexec ${file} "$@"\n`, { mode: 0o755 });
}

function quoted(text) {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

// What a lock of another package manager links nowhere: the programs of what this package needs.
function writeProgramsOfDependencies(manifest) {
  for (const dependency of Object.keys(Object.assign({}, manifest.dependencies, manifest.optionalDependencies))) {
    const at = folderOf(dependency);
    if (!at) continue;
    const { name: called, bin } = readManifest(at);
    const programs = typeof bin === 'string' ? { [called]: bin } : bin || {};
    for (const [program, relative] of Object.entries(programs)) {
      const file = path.resolve(at, String(relative));
      if (!fs.existsSync(file)) continue;
      const isScript = /^#!.*\bnode\b/.test(fs.readFileSync(file).slice(0, 200).toString('latin1'));
      writeProgram(program, isScript ? `${quoted(process.execPath)} ${quoted(file)}` : quoted(file));
    }
  }
}

// npm brings node-gyp along.
function bundledNodeGyp() {
  const modules = [path.resolve(process.execPath, '../../lib/node_modules'), '/usr/share/nodejs', '/usr/share/npm'];
  const places = modules.map((at) => path.join(at, 'npm/node_modules/node-gyp'));
  return places
    .concat(modules.map((at) => path.join(at, 'node-gyp')))
    .map((at) => path.join(at, 'bin/node-gyp.js'))
    .find((at) => fs.existsSync(at));
}

// The fields of a manifest that are in the environment, as npm spells them.
function variables(prefix, value) {
  if (value === undefined) return {};
  if (value === null || value === false) return { [prefix]: '' };
  if (typeof value !== 'object') return { [prefix]: String(value) };
  return Object.assign({}, ...Object.entries(value).map(([key, inner]) => variables(`${prefix}_${key}`, inner)));
}

function environment(manifest) {
  const bins = ancestors(folder).map((at) => path.join(at, 'node_modules', '.bin'));
  const nodeGyp = bundledNodeGyp();
  fs.mkdirSync(own, { recursive: true });
  writeProgramsOfDependencies(manifest);
  if (nodeGyp) writeProgram('node-gyp', `${quoted(process.execPath)} ${quoted(nodeGyp)}`);
  const npm = path.resolve(process.execPath, '../../lib/node_modules/npm/bin/npm-cli.js');
  const { config, engines, bin } = manifest;
  return Object.assign(
    {},
    process.env,
    variables('npm_package', { name: manifest.name, version: manifest.version, config, engines, bin }),
    {
      PATH: bins.concat(own, process.env.PATH.split(':')).join(':'),
      INIT_CWD: project,
      NODE: process.execPath,
      npm_command: 'ci',
      npm_config_cache: '/tmp/npm',
      npm_config_devdir: '/tmp/node-gyp',
      npm_config_local_prefix: project,
      npm_config_user_agent: `flashbuild npm/? node/${process.version} ${process.platform} ${process.arch}`,
      npm_node_execpath: process.execPath,
      npm_package_json: path.join(folder, 'package.json'),
    },
    fs.existsSync(npm) ? { npm_execpath: npm } : {},
    nodeGyp ? { npm_config_node_gyp: nodeGyp } : {},
  );
}

function main() {
  const manifest = readManifest(folder);
  if (manifest.name !== name) fail(`its package.json is that of ${manifest.name}`);
  const scripts = Object.assign({}, manifest.scripts);
  if (!scripts.install && !scripts.preinstall && manifest.gypfile !== false && fs.existsSync('binding.gyp')) {
    scripts.install = 'node-gyp rebuild';
  }
  const events = ['preinstall', 'install', 'postinstall'].filter((event) => scripts[event]);
  if (events.length === 0) console.log(`${name} ${version} has no install script`);
  const common = events.length === 0 ? {} : environment(manifest);
  for (const event of events) {
    console.log(`> ${name}@${version} ${event}\n> ${scripts[event]}`);
    const env = Object.assign({}, common, { npm_lifecycle_event: event, npm_lifecycle_script: scripts[event] });
    const { status, signal, error } = spawnSync('sh', ['-c', scripts[event]], { stdio: 'inherit', env });
    if (status !== 0) fail(`its ${event} script failed: ${error || signal || `exit code ${status}`}`);
  }
}

main();
