export const SCRIPTS = { bash: '', zsh: '', fish: '' };
