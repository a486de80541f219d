using TorchStab.Modules;
using static TorchSharp.torch;
using Host = TorchSharp.Modules;

namespace TorchStab.Surgery;

/// <summary>Copies the settings of a norm that the user may have changed since the exchange.</summary>
internal static class NormSettings
{
    public static void Copy(nn.Module from, nn.Module to)
    {
        switch (from, to)
        {
            case (NormBase f, Host.NormBase t):
                (t.eps, t.momentum) = (f.eps, f.momentum);
                break;
            case (LayerNorm f, Host.LayerNorm t):
                t.eps = f.eps;
                break;
            case (GroupNorm f, Host.GroupNorm t):
                t.eps = f.eps;
                break;
        }
    }
}
